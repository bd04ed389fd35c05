"""Augmentation of whole batches with tensor operations; the boxes follow the pictures."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """How far pictures may change. `none()` changes nothing."""

    flip: float = 0.5  # chance of a mirror image, for each axis
    shift: float = 0.1  # of the picture's sides
    scale: float = 0.2  # zoom in or out by up to this share
    stretch: float = 0.1  # the same, for one axis alone
    light: float = 0.2  # contrast and brightness
    colour: float = 0.1  # each channel's brightness


def augmented(pictures: Tensor, boxes: Tensor, how: Augmentation, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Normalised pictures [B, C, H, W] and boxes [B, 4] (shares of the sides), changed at random, each in its own way.

    The random numbers come from a generator on the CPU, so that every device sees the same changes. A box is cut at the
    border of the new picture. Where the new picture reaches beyond the old one, the old one is mirrored.
    """
    count, channels, height, width = pictures.shape
    device = pictures.device

    def uniform(*shape: int, spread: float) -> Tensor:
        return ((torch.rand(shape, generator=random) * 2 - 1) * spread).to(device)

    mirror = torch.where(torch.rand(count, 2, generator=random) < how.flip, -1.0, 1.0).to(device)
    zoom = (1 + uniform(count, 1, spread=how.scale)) * (1 + uniform(count, 2, spread=how.stretch))
    factor = mirror * zoom  # a point u of the new picture, in [-1, 1], shows the point factor * u + offset of the old one
    offset = uniform(count, 2, spread=2 * how.shift)
    gain = 1 + uniform(count, 1, 1, 1, spread=how.light)
    bias = uniform(count, 1, 1, 1, spread=how.light) + uniform(count, channels, 1, 1, spread=how.colour)

    x = factor[:, :1] * centres(width, device) + offset[:, :1]  # [B, W]; axes apart: five times as fast as affine_grid
    y = factor[:, 1:] * centres(height, device) + offset[:, 1:]  # [B, H]
    grid = torch.stack([x.unsqueeze(1).expand(-1, height, -1), y.unsqueeze(2).expand(-1, -1, width)], 3)  # [B, H, W, 2]
    moved = functional.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)

    corners = (boxes.view(count, 2, 2) * 2 - 1 - offset.unsqueeze(1)) / factor.unsqueeze(1)
    follow = torch.cat([corners.amin(1), corners.amax(1)], 1).clamp(-1, 1) / 2 + 0.5
    return torch.addcmul(bias, moved, gain), follow


def centres(count: int, device: torch.device) -> Tensor:
    """Where the centres of so many pixels lie in [-1, 1]: [count]."""
    return (torch.arange(count, device=device) * 2 + 1) / count - 1
