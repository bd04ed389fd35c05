"""Full supervision of detectors: every training sample has its objects, which may be none."""

import numpy as np
import torch
from torch import Tensor

from htltools.core.geometry.objects import EMPTY
from htltools.core.nets.detector import Detector, calibrate
from htltools.core.runtime.prefetch import ImageSource, OnDevice
from htltools.core.training.augmentation import augmented
from htltools.core.training.loop import Recipe
from htltools.core.training.threshold_objective import Calibrated

LEAST = 0.25  # share of an object that must be left where the image's new border cuts it


class Detecting(Calibrated):
    """The objective of N samples with objects [N, M, 5] each: torchvision's loss of augmented images, each times its weight.

    After each epoch the score from which on an object counts is set anew on the validation samples. The last incomplete batch of an
    epoch is left out, unless it is the only one.

    Raises: UsageError for fewer samples in a batch than processes; whatever torch.compile raises.
    """

    def __init__(
        self,
        model: Detector,
        images: ImageSource,
        objects: np.ndarray,  # float32 [N, M, 5]
        weights: np.ndarray,  # float32 [N], mean 1
        validation: tuple[ImageSource, np.ndarray] | None,
        recipe: Recipe,
        **how,
    ):
        super().__init__(model, images, weights, validation, recipe, **how)
        self.objects = torch.from_numpy(objects).to(self.device)

    def loss(self, batch: Tensor, chosen: Tensor, change: Tensor, seed: int) -> Tensor:
        """As `Calibrated.loss`; a two-stage net draws which of its proposals count."""
        objects = self.objects[chosen]  # [B, M, 5]
        x, boxes = augmented(batch, objects[..., :4].contiguous(), change, self.model.gain, self.model.bias)
        targets = torch.cat([boxes, still_there(objects, boxes, change[:, :2]).unsqueeze(2)], 2)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
                return self.net(x.contiguous(memory_format=torch.channels_last), targets)

    def calibrate(self, images: ImageSource | OnDevice, annotated: np.ndarray) -> None:
        calibrate(self.model, images, annotated, self.recipe.batch_size, device=self.device, dtype=self.dtype)


def still_there(objects: Tensor, moved: Tensor, factor: Tensor) -> Tensor:
    """The class of each object [B, M, 5] after its box moved to [B, M, 4] by a factor [B, 2]; EMPTY where too little of it is left."""

    def area(boxes: Tensor) -> Tensor:
        return (boxes[..., 2:4] - boxes[..., :2]).prod(2)

    whole = area(objects) / factor.abs().prod(1, keepdim=True)
    return torch.where(area(moved) > LEAST * whole, objects[..., 4], float(EMPTY))
