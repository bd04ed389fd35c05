"""Looking again: predict, cut the neighbourhood of the prediction out of the image, enlarge it, predict again."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from htltools.core.geometry.box_loss import box_iou
from htltools.core.geometry.warping import warp, windows


@dataclass(frozen=True)
class Looks:
    """How a localizer looks at an image.

    count: looks, 1 = at the whole image alone. window: sides of what is looked at again, in sides of the predicted box. average:
    whether the prediction is the mean of the last two looks rather than the last one. agree: IoU of two looks in a row from which on
    an image is not looked at again; above 1 = never. at: where windows lie: around the `prediction`; as controls in a `random` place
    that follows from the image, or around `box`, shares of the sides, the `median` of the training boxes.
    """

    count: int = 1
    window: float = 1.4
    average: bool = False
    agree: float = 2.0
    at: str = "prediction"
    box: tuple[float, ...] | None = None

    @property
    def place(self) -> "Looks":
        """What says where the windows lie, and nothing else."""
        return Looks(window=self.window, at=self.at, box=self.box)

    def windows(self, x: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Factor and offset [B, 2] of the windows of images [B, C, H, W] with predicted boxes [B, 4]."""
        if self.box:
            boxes = torch.tensor(self.box, device=boxes.device).expand_as(boxes)
        factor, offset = windows(boxes, self.window)
        if self.at == "random":
            content = x.float().mean((2, 3))[:, :1]
            drawn = torch.cat([torch.sin(1e4 * content), torch.sin(1.7e4 * content + 1)], 1)  # [-1, 1]
            offset = drawn * (1 - factor).clamp_min(0)
        return factor, offset


class Looking(Protocol):
    """What looks again: how it predicts for windows, where a prediction is, and how it is put back into its image.

    predict: enlarged windows [B, C, h, w] to predictions [B, ...]. boxes_of: predictions to boxes [B, 4], shares of the sides. put_back:
    predictions for windows, factor and offset of these [B, 2], and the predictions before, to predictions for the images.
    """

    looks: Looks

    def predict(self, windows: Tensor) -> Tensor: ...

    def boxes_of(self, predictions: Tensor) -> Tensor: ...

    def put_back(self, predictions: Tensor, factor: Tensor, offset: Tensor, before: Tensor) -> Tensor: ...


def look_again(looking: Looking, x: Tensor, first: Tensor, size: tuple[int, int]) -> Tensor:
    """The predictions [B, ...] for images [B, C, H, W] after all looks; `first` are those of the first look, (h, w) the size of a window.

    Tensor operations only, so that it exports; there, and where torch compiles, images that need no more looks take the time of the others.
    """
    looks = looking.looks
    if looks.agree > 1 or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return in_the_end(looking, looks, after_each_look(looking, looks, x, first, size))
    now, told = first.clone(), first.clone()
    chosen = torch.arange(x.shape[0], device=x.device)
    for _ in range(looks.count - 1):
        before = now[chosen]
        after = next_look(looking, looks, x[chosen], before, size)
        now[chosen], told[chosen] = after, (before + after) / 2 if looks.average else after
        chosen = chosen[box_iou(looking.boxes_of(after), looking.boxes_of(before)) < looks.agree]
        if not len(chosen):
            break
    return told


def look_each_way(looking: Looking, ways: Sequence[Looks], x: Tensor, first: Tensor, size: tuple[int, int]) -> list[Tensor]:
    """As `look_again`, for each of several ways to look. Those of the same windows share their looks."""
    shared: dict[Looks, list[Tensor]] = {}  # the predictions after each look, by where the windows lie
    for way in sorted(ways, key=lambda way: -way.count):
        if way.place not in shared:
            shared[way.place] = after_each_look(looking, way, x, first, size)
    return [in_the_end(looking, way, shared[way.place]) for way in ways]


def next_look(looking: Looking, looks: Looks, x: Tensor, before: Tensor, size: tuple[int, int]) -> Tensor:
    """The predictions [B, ...] of one look more, at the windows of the predictions before."""
    factor, offset = looks.windows(x, looking.boxes_of(before))
    return looking.put_back(looking.predict(warp(x.float(), factor, offset, size).to(x.dtype)), factor, offset, before)


def after_each_look(looking: Looking, looks: Looks, x: Tensor, first: Tensor, size: tuple[int, int]) -> list[Tensor]:
    """The predictions [B, ...] after each of `looks.count` looks, the first included, whether two of them agree or not."""
    trail = [first]
    for _ in range(looks.count - 1):
        trail.append(next_look(looking, looks, x, trail[-1], size))
    return trail


def in_the_end(looking: Looking, looks: Looks, trail: Sequence[Tensor]) -> Tensor:
    """What looks predict in the end [B, ...], given the predictions after each look; those after more than `looks.count` do not count."""
    pairs = [*pairwise(trail[: looks.count])]
    means = [(before + after) / 2 if looks.average else after for before, after in pairs]
    if looks.agree > 1:
        return means[-1] if means else trail[0]
    told, going = trail[0], torch.ones(len(trail[0]), dtype=torch.bool, device=trail[0].device)
    for (before, after), mean in zip(pairs, means):
        told = torch.where(going.view(-1, *[1] * (told.ndim - 1)), mean, told)
        going = going & (box_iou(looking.boxes_of(after), looking.boxes_of(before)) < looks.agree)
    return told
