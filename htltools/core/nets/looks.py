"""Looking again: predict, cut the neighbourhood of the prediction out of the image, enlarge it, predict again."""

from dataclasses import dataclass
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
    everything = looks.agree > 1 or torch.compiler.is_compiling() or torch.jit.is_tracing()
    now, told = first, first
    going = torch.ones(x.shape[0], dtype=torch.bool, device=x.device)
    for _ in range(looks.count - 1):
        chosen = slice(None) if everything else going.nonzero().squeeze(1)
        before = now[chosen]
        boxes = looking.boxes_of(before)
        factor, offset = looks.windows(x[chosen], boxes)
        after = looking.put_back(looking.predict(warp(x[chosen].float(), factor, offset, size).to(x.dtype)), factor, offset, before)
        result = (before + after) / 2 if looks.average else after
        if looks.agree > 1:
            now, told = after, result
            continue
        goes_on = box_iou(looking.boxes_of(after), boxes) < looks.agree
        if everything:
            still = going.view(-1, *[1] * (now.ndim - 1))
            now, told, going = torch.where(still, after, now), torch.where(still, result, told), going & goes_on
        else:
            now, told, going = now.clone(), told.clone(), going.clone()
            now[chosen], told[chosen], going[chosen] = after, result, goes_on
            if not going.any():
                break
    return told
