"""Localizers that detect several objects of several classes on an image."""

from collections.abc import Collection, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from htltools.core.geometry.matching import set_overlap
from htltools.core.geometry.objects import EMPTY, above
from htltools.core.nets.detection.detectors import OneStage, TwoStage
from htltools.core.nets.detection.nms import nearest_first
from htltools.core.nets.localizer import Localizer

MOST = 100  # objects on an image, at most


class Detector(Localizer):
    """Images as stored, uint8 [B, H, W, C], to objects float32 [B, D, 6] as in `geometry.objects`, the highest score first.

    `classes`: their names. `threshold`: the score from which on an object counts where sets are compared; it is stored with the weights.
    """

    task = "detect"
    threshold: Tensor
    doubt_outputs = {"doubt": (), "doubts": (None,)}

    def __init__(self, net: OneStage | TwoStage, mean: list[float], std: list[float], classes: Collection[str]):
        super().__init__(net, mean, std)
        self.classes, self.prediction_shape = list(classes), (net.most, 6)
        self.register_buffer("threshold", torch.tensor(0.5))

    @property
    def prediction_layers(self) -> list[nn.Module]:
        return list(cast(list[nn.Module], self.net.heads))

    def first_look(self, x: Tensor) -> Tensor:
        """The objects [B, D, 6] of normalised images [B, C, H, W]."""
        return self.net(x)

    def all_looks(self, x: Tensor, first: Tensor) -> Tensor:
        """The same: it looks once."""
        return first

    def outputs_of(self, predictions: Tensor) -> tuple[Tensor, ...]:
        """Boxes float32 [B, D, 4], scores float32 [B, D] and labels int64 [B, D]; in empty places zeros and the label -1."""
        return predictions[..., :4], predictions[..., 5], predictions[..., 4].long()

    def doubts(self, own: Tensor, views: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Doubt of images [B] and of objects [B, D] in [0, 1], as `hardness.doubt.object_disagreement`; of objects that do not count 1."""
        own, several = self.counting(own), [self.counting(view) for view in views]
        met = [nearest_first(own, view) for view in several]
        most = [torch.maximum(*((each[..., 4] >= 0).sum(1) for each in (own, view))) for view in several]
        images = [torch.where(count > 0, 1 - found.sum(1) / count.clamp_min(1), 0.0) for found, count in zip(met, most)]
        return torch.stack(images).mean(0), 1 - torch.stack(met).mean(0)

    def counting(self, objects: Tensor) -> Tensor:
        """As `counted`, of tensors."""
        empty = torch.tensor([0, 0, 0, 0, EMPTY, 0], dtype=objects.dtype, device=objects.device)
        return torch.where(objects[..., 5:] >= self.threshold.to(objects.dtype), objects, empty)

    def overlap(self, predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """`matching.set_overlap` of the predicted objects that count, of [N, D, 6], and annotated ones [N, M, 5]: [N] in [0, 1]."""
        return set_overlap(self.counted(predictions), targets)

    def counted(self, predictions: np.ndarray) -> np.ndarray:
        """The objects [..., D, 6] that score enough to count."""
        return above(predictions, float(self.threshold))


def room_for(most_annotated: int) -> int:
    """How many objects a detector should be able to find, where images have at most so many annotated."""
    return min(max(2 * most_annotated, 10), MOST)
