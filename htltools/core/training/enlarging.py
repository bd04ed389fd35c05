"""Enlarged crops in training: what a localizer sees that looks again is part of what it learns from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from htltools.core.geometry.warping import windows


@dataclass(frozen=True)
class Crops:
    """How images are cut around their annotated box before they are augmented. Chosen on validation, see EVIDENCE.md."""

    share: float = 0.5  # of the images of a batch that are cut
    window: tuple[float, float] = (1.15, 2.0)  # sides of a crop, from and to, in sides of the box
    stretch: float = 0.15  # one axis alone, by up to this share
    shift: float = 0.12  # in sides of the box


DRAWS = 6  # numbers that say how an image is cut


def draw_crops(count: int, crops: Crops, random: torch.Generator) -> Tensor:
    """How each of `count` images would be cut: float32 [count, DRAWS], drawn on the CPU, so that every device has the same.

    Columns: a number in [0, 1), an image is cut where it is less than its share; factor; stretch and shift of x and of y.
    """
    draws = torch.rand(count, DRAWS, generator=random)
    low, high = crops.window
    return torch.cat(
        [
            draws[:, :1],
            low + draws[:, 1:2] * (high - low),
            1 + (draws[:, 2:4] * 2 - 1) * crops.stretch,
            (draws[:, 4:] * 2 - 1) * crops.shift,
        ],
        1,
    )


def cut_first(change: Tensor, boxes: Tensor, draws: Tensor, shares: Tensor | float) -> Tensor:
    """Changes [B, 5 + C] as `draw_changes` gives them, of images that are cut around their boxes [B, 4] first where it was drawn.

    draws: [B, DRAWS]. shares: [B] or one for all, how probably an image is cut. An image without a box (NaN) is not.
    """
    factor, offset = windows(boxes, 1.0)
    offset = offset + 2 * factor * draws[:, 4:6]
    factor = factor * draws[:, 1:2] * draws[:, 2:4]
    cut = ((draws[:, 0] < shares) & boxes.isfinite().all(1)).unsqueeze(1)
    moved = torch.cat([factor * change[:, :2], factor * change[:, 2:4] + offset, change[:, 4:]], 1)
    return torch.where(cut, moved, change)


def crop_shares(crops: Crops, weights: Tensor) -> Tensor:
    """How probably each of N images is cut, in proportion to weights [N] (mean 1) as far as a share can be; mean: the share of `crops`."""
    shares = weights * crops.share
    for _ in range(8):  # what one cannot take above 1 goes to the others
        free = shares < 1
        missing = crops.share * len(shares) - shares.clamp(max=1).sum()
        if missing <= 1e-6 or not free.any():
            break
        shares = torch.where(free, shares * (1 + missing / shares[free].sum()), 1.0)
    return shares.clamp(max=1)
