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


def changes(count: int, channels: int, how: Augmentation, random: torch.Generator) -> Tensor:
    """A random change for each of so many images: float32 [count, 5 + C], drawn on the CPU, so that every device sees the same.

    Columns: factor and offset of x and of y (a point u of the new image, in [-1, 1], shows the point factor * u + offset of
    the old one) as factor x, factor y, offset x, offset y; contrast; brightness of each channel.
    """

    def uniform(columns: int, spread: float) -> Tensor:
        return (torch.rand(count, columns, generator=random) * 2 - 1) * spread

    mirror = torch.where(torch.rand(count, 2, generator=random) < torch.tensor(how.flip), -1.0, 1.0)
    factor = mirror * (1 + uniform(1, how.scale)) * (1 + uniform(2, how.stretch))
    offset = uniform(2, 2 * how.shift)
    return torch.cat([factor, offset, 1 + uniform(1, how.light), uniform(1, how.light) + uniform(channels, how.colour)], 1)


def augmented(images: Tensor, boxes: Tensor, change: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Images uint8 [B, H, W, C] and boxes [B, 4] or [B, M, 4] (shares of the sides), each changed in its own way (`changes`, [B, 5 + C]).

    The images come out normalised, gain * value + bias ([1, C, 1, 1] each): float32 [B, C, H, W]. A box is cut at the border
    of the new image. Where the new image reaches beyond the old one, the old one is mirrored.
    """
    factor, offset = change[:, :2], change[:, 2:4]
    moved = warped(images.permute(0, 3, 1, 2).float(), factor, offset)
    return relit(moved, change, gain, bias), moved_boxes(boxes, factor, offset)


def augmented_masks(images: Tensor, change: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """As `augmented`, of images with their lesion mask as one channel more, uint8 [B, H, W, C + 1], and `changes` [B, 5 + C].

    The masks come out as float32 [B, H, W], 0 or 1: lesion where half of the new pixel or more is.
    """
    moved = warped(images.permute(0, 3, 1, 2).float(), change[:, :2], change[:, 2:4])
    return relit(moved[:, :-1], change, gain, bias), (moved[:, -1] >= 127.5).float()


def relit(images: Tensor, change: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Images [B, C, H, W] normalised, gain * value + bias, in the contrast and the brightness of a change [B, 5 + C]."""
    contrast, brightness = change[:, 4:5, None, None], change[:, 5:, None, None]
    return torch.addcmul(bias * contrast + brightness, images, gain * contrast)


def moved_boxes(boxes: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    """Boxes [B, 4] or [B, M, 4] where their images went by factor and offset [B, 2], cut at the border."""
    corners = boxes.reshape(len(boxes), -1, 2, 2) * 2 - 1
    corners = (corners - offset[:, None, None]) / factor[:, None, None]
    return (torch.cat([corners.amin(2), corners.amax(2)], 2).clamp(-1, 1) / 2 + 0.5).view(boxes.shape)


def warped(images: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    """Images [B, C, H, W] stretched and moved along each axis by factor and offset [B, 2] (x, y).

    The axes are apart, so that coordinates and mirroring cost a row and a column rather than the plane: five times as fast
    as `affine_grid`.
    """
    height, width = images.shape[2:]
    x = mirrored(factor[:, :1] * centres(width, images.device) + offset[:, :1])  # [B, W]
    y = mirrored(factor[:, 1:] * centres(height, images.device) + offset[:, 1:])  # [B, H]
    grid = torch.stack([x.unsqueeze(1).expand(-1, height, -1), y.unsqueeze(2).expand(-1, -1, width)], 3)  # [B, H, W, 2]
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def mirrored(u: Tensor) -> Tensor:
    """Coordinates folded back into [-1, 1] at its ends."""
    return 1 - (torch.remainder(u + 1, 4) - 2).abs()


def centres(count: int, device: torch.device) -> Tensor:
    """Where the centres of so many pixels lie in [-1, 1]: [count]."""
    return (torch.arange(count, device=device) * 2 + 1) / count - 1
