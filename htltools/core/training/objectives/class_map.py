"""Weak supervision: every training sample has a class, none a box. Boxes of the validation split set one number, the threshold."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from htltools.core.geometry.boxes import iou
from htltools.core.geometry.class_maps_to_boxes import map_boxes
from htltools.core.nets.map_localizer import MapLocalizer
from htltools.core.runtime import distributed
from htltools.core.runtime.batches import batches
from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.predict import predict_all, predictions
from htltools.core.runtime.prefetch import OnDevice, load_batches
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.adaptive_weighting import Attention
from htltools.core.training.augmentation import changed_images
from htltools.core.training.enlarging import DRAWS, Crops, cut_first, draw_crops
from htltools.core.training.objectives.threshold import ThresholdObjective
from htltools.core.training.schedule import Recipe

THRESHOLDS = np.linspace(0.1, 0.6, 21).round(3)  # that are tried
AT_ONCE = 128  # images in calibration


class ClassMapObjective(ThresholdObjective):
    """The objective of N samples with a class each: the cross-entropy of every class map's mean, each sample times its weight.

    Rare classes weigh more (see `class_balance`). After each epoch the threshold of the map is calibrated on the validation samples.
    With attention by `look` a share of the images is cut around the box that the model itself predicted a few epochs before: no
    annotated box is seen.
    """

    model: MapLocalizer

    def __init__(
        self,
        model: MapLocalizer,
        images: ImageSource,
        classes: np.ndarray,  # int64 [N]
        weights: np.ndarray,  # float32 [N], mean 1
        validation: tuple[ImageSource, np.ndarray] | None,
        recipe: Recipe,
        runtime: Runtime,
        *,
        attention: Attention | None = None,
        compiled: bool = False,
    ):
        super().__init__(model, images, weights * class_balance(classes), validation, recipe, runtime, compiled=compiled)
        self.classes = torch.from_numpy(classes).to(runtime.device)
        self.attention = attention
        self.predicted = torch.full((len(classes), 4), torch.nan, device=runtime.device)  # boxes to cut around, when last predicted

    def begin_epoch(self, epoch: int, seed: int) -> None:
        """Predict the boxes to cut around, where that is due."""
        if self.attention and epoch and epoch % self.attention.renew == 0:
            self.predicted = torch.from_numpy(predict_all([self.model], self.images, self.runtime.at(AT_ONCE))[0]).to(self.predicted)

    def epoch_changes(self, random: torch.Generator) -> Tensor:
        """How each image of an epoch is augmented and cut, in the order of the batches: [N, 5 + C + DRAWS]."""
        drawn = super().epoch_changes(random)
        return torch.cat([drawn, draw_crops(len(drawn), Crops(), random)], 1) if self.attention else drawn

    def loss(self, batch: Tensor, chosen: Tensor, change: Tensor, seed: int) -> Tensor:
        if self.attention:
            change = cut_first(change[:, :-DRAWS], self.predicted[chosen], change[:, -DRAWS:], self.attention.share)
        size = self.model.input_size(batch.permute(0, 3, 1, 2))
        x = changed_images(batch, change, self.model.gain, self.model.bias, size)
        with self.runtime.autocast():
            maps = self.net(x.contiguous(memory_format=torch.channels_last))  # [B, K, h, w] each
        each = [cross_entropy(scores.float().mean((2, 3)), self.classes[chosen], reduction="none") for scores in maps]
        return torch.stack(each).mean(0)

    def state_dict(self) -> dict[str, Tensor]:
        """State to resume from, beside that of the model."""
        return {"predicted": self.predicted}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        self.predicted = state_dict["predicted"].to(self.predicted)

    def calibrate(self, images: ImageSource | OnDevice, targets: np.ndarray) -> None:
        calibrate_map_threshold(self.model, images, targets, self.runtime)


def class_balance(classes: np.ndarray) -> np.ndarray:
    """Weights of samples by their class [N]: as one over the square root of its count, mean 1: float32 [N].

    The root is half way between samples that all count the same and classes that all do.

    >>> class_balance(np.array([0, 0, 0, 0, 1])).round(3)
    array([0.833, 0.833, 0.833, 0.833, 1.667], dtype=float32)
    """
    _, inverse, counts = np.unique(classes, return_inverse=True, return_counts=True)
    weights = counts[inverse] ** -0.5
    return (weights / weights.mean()).astype(np.float32)


class MapOf(nn.Module):
    """The map of a localizer in place of its box: uint8 [B, H, W, C] to [B, h, w]."""

    def __init__(self, model: MapLocalizer):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model.map(self.model.normalised(images))


def calibrate_map_threshold(model: MapLocalizer, images: ImageSource | OnDevice, boxes: np.ndarray, runtime: Runtime) -> None:
    """Set the threshold of a map localizer, in place, to the one of THRESHOLDS with the highest mean IoU with the boxes [N, 4]."""
    own = distributed.share(batches(images.shape[0], AT_ONCE))
    sums = torch.zeros(len(THRESHOLDS), dtype=torch.float64)
    for chosen, maps in zip(own, predictions([MapOf(model)], load_batches(images, own, runtime.device), runtime)):
        sums += torch.tensor([iou(map_boxes(maps[0], threshold).cpu().numpy(), boxes[chosen]).sum() for threshold in THRESHOLDS])
    best = int(distributed.summed(sums.to(runtime.device, torch.float32)).argmax())
    model.threshold.fill_(float(THRESHOLDS[best]))
