"""Augmentation of whole batches with tensor operations; the boxes follow the images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from htltools.core.geometry.warping import warp, warp_boxes


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
    return changed_images(images, change, gain, bias), warp_boxes(boxes, factor, offset)


def changed_images(images: Tensor, change: Tensor, gain: Tensor, bias: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Images uint8 [B, H, W, C], changed as `augmented` does, and normalised: float32 [B, C, *size], by default of the same size."""
    moved = warp(images.permute(0, 3, 1, 2).float(), change[:, :2], change[:, 2:4], size)
    return adjust_light(moved, change, gain, bias)


def changed_with_masks(
    images: Tensor, change: Tensor, gain: Tensor, bias: Tensor, size: tuple[int, int] | None = None
) -> tuple[Tensor, Tensor]:
    """As `changed_images`, of images with their lesion mask as one channel more, uint8 [B, H, W, C + 1].

    The masks are float32 [B, *size], 0 or 1: lesion where half of the new pixel or more is.
    """
    moved = warp(images.permute(0, 3, 1, 2).float(), change[:, :2], change[:, 2:4], size)
    return adjust_light(moved[:, :-1], change, gain, bias), (moved[:, -1] >= 127.5).float()


def adjust_light(images: Tensor, change: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Images [B, C, H, W] normalised, gain * value + bias, in the contrast and the brightness of a change [B, 5 + C]."""
    contrast, brightness = change[:, 4:5, None, None], change[:, 5:, None, None]
    return torch.addcmul(bias * contrast + brightness, images, gain * contrast)
