"""Images stretched, moved, mirrored and cut out by tensor operations, and boxes that follow them.

A change of B images is a factor and an offset [B, 2] (x, y): a point u of the new image shows the point factor * u + offset of the old
one, both in [-1, 1] from side to side.
"""

import torch
from torch import Tensor
from torch.nn import functional

SMALLEST = 0.05  # share of the image's sides that a window has at least


def warp(images: Tensor, factor: Tensor, offset: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Images [B, C, H, W] stretched and moved by factor and offset [B, 2]: [B, C, *size], by default of the same size.

    Where a new image reaches beyond the old one, the old one is mirrored. Bilinear; where the old image is finer than the new one
    would be if it showed all of it, so many points of it are averaged that none is skipped.

    The axes are separate, so that coordinates and mirroring are computed for a row and a column rather than the plane: five times as
    fast as `affine_grid`.
    """
    height, width = size or images.shape[2:]
    finer = max(-(-images.shape[2] // height), -(-images.shape[3] // width))
    moved = sampled(images, *map(reflect, lines(factor, offset, height * finer, width * finer)))
    return functional.avg_pool2d(moved, finer) if finer > 1 else moved


def sampled(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Images [B, C, H, W] at the columns x [B, w] and rows y [B, h], both in [-1, 1]: [B, C, h, w]. Bilinear; beyond the border as at it.

    Where it is exported, it is two products of matrices, which take onnxruntime a quarter of the time of its GridSample; torch is the
    other way round.
    """
    if torch.compiler.is_exporting() or torch.jit.is_tracing():
        across, down = (shares(line, size).to(images.dtype).unsqueeze(1) for line, size in ((x, images.shape[3]), (y, images.shape[2])))
        return down @ (images @ across.transpose(2, 3))
    grid = torch.stack([x.unsqueeze(1).expand(-1, y.shape[1], -1), y.unsqueeze(2).expand(-1, -1, x.shape[1])], 3)  # [B, h, w, 2]
    return functional.grid_sample(images, grid.to(images.dtype), padding_mode="border", align_corners=False)


def shares(line: Tensor, size: int) -> Tensor:
    """How much each of `size` pixels in a row counts at points [B, n] in [-1, 1] between their centres: [B, n, size], linear."""
    place = (((line + 1) * size - 1) / 2).clamp(0, size - 1)
    return (1 - (place.unsqueeze(2) - torch.arange(size, device=line.device)).abs()).clamp_min(0)


def lines(factor: Tensor, offset: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where the columns and the rows of new images lie in the old ones, by their centres: [B, width] and [B, height]."""
    x = factor[:, :1] * pixel_centres(width, factor.device) + offset[:, :1]
    y = factor[:, 1:] * pixel_centres(height, factor.device) + offset[:, 1:]
    return x, y


def reflect(u: Tensor) -> Tensor:
    """Coordinates folded back into [-1, 1] at its ends."""
    return 1 - (torch.remainder(u + 1, 4) - 2).abs()


def pixel_centres(count: int, device: torch.device) -> Tensor:
    """The centres of `count` pixels in [-1, 1]: [count]."""
    return (torch.arange(count, device=device) * 2 + 1) / count - 1


def warp_boxes(boxes: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    """Boxes [B, 4] or [B, M, 4] (shares of the sides) moved as their images are by factor and offset [B, 2], cut at the border."""
    corners = boxes.reshape(len(boxes), -1, 2, 2) * 2 - 1
    corners = (corners - offset[:, None, None]) / factor[:, None, None]
    return (torch.cat([corners.amin(2), corners.amax(2)], 2).clamp(-1, 1) / 2 + 0.5).view(boxes.shape)


def unwarp_boxes(boxes: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    """Boxes [B, 4] of images changed by factor (above 0) and offset [B, 2], in the images before, cut at their border: [B, 4]."""
    corners = boxes.view(-1, 2, 2) * 2 - 1
    return ((corners * factor[:, None] + offset[:, None]).view(-1, 4) / 2 + 0.5).clamp(0, 1)


def ellipses(boxes: Tensor, factor: Tensor, offset: Tensor, size: tuple[int, int]) -> Tensor:
    """The ellipses inscribed in boxes [B, 4] as masks of the images changed by factor and offset [B, 2]: float32 [B, *size], 0 or 1.

    They stand for lesions of which only the box is known, and are changed as `warp` changes images.
    """
    (x, y), (low, high) = lines(factor, offset, *size), (boxes * 2 - 1).float().view(-1, 2, 2).unbind(1)
    centre, radius = (low + high) / 2, ((high - low) / 2).clamp_min(1e-6)
    across, down = ((reflect(line) - centre[:, axis, None]) / radius[:, axis, None] for axis, line in enumerate((x, y)))
    return (across.square().unsqueeze(1) + down.square().unsqueeze(2) <= 1).float()


def windows(boxes: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    """The windows around boxes [B, 4] that are `factor` times as wide and high, as factor and offset of a change: [B, 2] twice.

    A window has at least SMALLEST of the image's sides.
    """
    low, high = (boxes.float() * 2 - 1).view(-1, 2, 2).unbind(1)
    return ((high - low) / 2 * factor).clamp_min(SMALLEST), (low + high) / 2


def pasted(inner: Tensor, factor: Tensor, offset: Tensor, outer: Tensor) -> Tensor:
    """Masks [B, H, W] with the masks [B, h, w] of their windows put in place: factor (above 0) and offset [B, 2] say where those are."""
    back, shift = 1 / factor, -offset / factor
    x, y = lines(back, shift, *outer.shape[1:])
    moved = sampled(inner.unsqueeze(1), x, y).squeeze(1)
    return torch.where((y.abs() <= 1).unsqueeze(2) & (x.abs() <= 1).unsqueeze(1), moved, outer)
