"""Augmentation of whole batches with tensor operations; the boxes follow the images."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """How far images may change."""

    flip: tuple[float, float] = (0.5, 0.5)  # chance of a mirror image: left for right, and upside down
    shift: float = 0.1  # of the image's sides
    scale: float = 0.2  # zoom in or out by up to this share
    stretch: float = 0.1  # the same, for one axis alone
    light: float = 0.2  # contrast and brightness
    colour: float = 0.1  # each channel's brightness


def draw_changes(count: int, channels: int, augmentation: Augmentation, random: torch.Generator) -> Tensor:
    """A random change for each of `count` images: float32 [count, 5 + C], drawn on the CPU, so that every device has the same.

    Columns: factor and offset of x and of y (a point u of the new image, in [-1, 1], shows the point factor * u + offset of
    the old one) as factor x, factor y, offset x, offset y; contrast; brightness of each channel.
    """

    def uniform(columns: int, spread: float) -> Tensor:
        return (torch.rand(count, columns, generator=random) * 2 - 1) * spread

    mirror = torch.where(torch.rand(count, 2, generator=random) < torch.tensor(augmentation.flip), -1.0, 1.0)
    factor = mirror * (1 + uniform(1, augmentation.scale)) * (1 + uniform(2, augmentation.stretch))
    offset = uniform(2, 2 * augmentation.shift)
    return torch.cat(
        [factor, offset, 1 + uniform(1, augmentation.light), uniform(1, augmentation.light) + uniform(channels, augmentation.colour)], 1
    )


def augmented(images: Tensor, boxes: Tensor, change: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Images uint8 [B, H, W, C] and boxes [B, 4] or [B, M, 4] (shares of the sides), changed by `draw_changes` [B, 5 + C].

    The images are normalised, gain * value + bias ([1, C, 1, 1] each): float32 [B, C, H, W]. A box is cut at the border
    of the new image. Where the new image reaches beyond the old one, the old one is mirrored.
    """
    factor, offset = change[:, :2], change[:, 2:4]
    moved = warp(images.permute(0, 3, 1, 2).float(), factor, offset)
    return adjust_light(moved, change, gain, bias), warp_boxes(boxes, factor, offset)


def augmented_masks(images: Tensor, change: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """As `augmented`, of images with their lesion mask as one channel more, uint8 [B, H, W, C + 1], and `draw_changes` [B, 5 + C].

    The masks are float32 [B, H, W], 0 or 1: lesion where half of the new pixel or more is.
    """
    moved = warp(images.permute(0, 3, 1, 2).float(), change[:, :2], change[:, 2:4])
    return adjust_light(moved[:, :-1], change, gain, bias), (moved[:, -1] >= 127.5).float()


def adjust_light(images: Tensor, change: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Images [B, C, H, W] normalised, gain * value + bias, in the contrast and the brightness of a change [B, 5 + C]."""
    contrast, brightness = change[:, 4:5, None, None], change[:, 5:, None, None]
    return torch.addcmul(bias * contrast + brightness, images, gain * contrast)


def warp_boxes(boxes: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    """Boxes [B, 4] or [B, M, 4] moved as their images are by factor and offset [B, 2], cut at the border."""
    corners = boxes.reshape(len(boxes), -1, 2, 2) * 2 - 1
    corners = (corners - offset[:, None, None]) / factor[:, None, None]
    return (torch.cat([corners.amin(2), corners.amax(2)], 2).clamp(-1, 1) / 2 + 0.5).view(boxes.shape)


def warp(images: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    """Images [B, C, H, W] stretched and moved along each axis by factor and offset [B, 2] (x, y).

    The axes are separate, so that coordinates and mirroring are computed for a row and a column rather than the plane: five times as
    fast as `affine_grid`.
    """
    height, width = images.shape[2:]
    x = reflect(factor[:, :1] * pixel_centres(width, images.device) + offset[:, :1])  # [B, W]
    y = reflect(factor[:, 1:] * pixel_centres(height, images.device) + offset[:, 1:])  # [B, H]
    grid = torch.stack([x.unsqueeze(1).expand(-1, height, -1), y.unsqueeze(2).expand(-1, -1, width)], 3)  # [B, H, W, 2]
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def reflect(u: Tensor) -> Tensor:
    """Coordinates folded back into [-1, 1] at its ends."""
    return 1 - (torch.remainder(u + 1, 4) - 2).abs()


def pixel_centres(count: int, device: torch.device) -> Tensor:
    """The centres of `count` pixels in [-1, 1]: [count]."""
    return (torch.arange(count, device=device) * 2 + 1) / count - 1
