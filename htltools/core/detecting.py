"""Full supervision of detectors: every training sample has its objects, which may be none."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from htltools.core import ranks
from htltools.core.augmentation import augmented, changes
from htltools.core.detector import Detector, calibrate
from htltools.core.feed import PictureSource, fed, nearest
from htltools.core.loop import Recipe, epoch_seed
from htltools.core.objects import EMPTY
from htltools.errors import UsageError

LEAST = 0.25  # share of an object that must be left where the picture's new border cuts it


class Detecting:
    """The objective of N samples with objects [N, M, 5] each: torchvision's loss of augmented pictures, each times its weight.

    After each epoch the score from which on an object counts is set anew on the validation samples. The last incomplete batch of an
    epoch is left out, unless it is the only one.

    Raises: UsageError for fewer samples in a batch than processes; whatever torch.compile raises.
    """

    def __init__(
        self,
        model: Detector,
        pictures: PictureSource,
        objects: np.ndarray,  # float32 [N, M, 5]
        weights: np.ndarray,  # float32 [N], mean 1
        validation: tuple[PictureSource, np.ndarray] | None,
        recipe: Recipe,
        *,
        device: torch.device,
        dtype: torch.dtype,
        compiled: bool = False,
    ):
        self.batch_size = min(recipe.batch_size, len(objects))
        self.steps = len(objects) // self.batch_size
        if self.batch_size < ranks.count():
            raise UsageError(f"a batch of {self.batch_size} cannot be shared by {ranks.count()} processes")
        self.recipe, self.device, self.dtype = recipe, device, dtype
        self.model = self.answering = model.to(device, memory_format=torch.channels_last)
        net = ranks.trained_together(model.net, device)
        self.net = torch.compile(net) if compiled else net
        self.pictures = nearest(pictures, device)
        self.objects, self.weights = torch.from_numpy(objects).to(device), torch.from_numpy(weights).to(device)
        self.validation = (nearest(validation[0], device), validation[1]) if validation else None

    def losses(self, epoch: int) -> Iterator[Tensor]:
        """The loss of each step of an epoch; the threshold moves after the last one."""
        seed = epoch_seed(self.recipe.seed, epoch)
        random = torch.Generator().manual_seed(seed)
        shape = self.steps, self.batch_size
        turns = torch.randperm(len(self.objects), generator=random)[: self.steps * self.batch_size].view(shape)
        change = changes(turns.numel(), self.pictures.shape[3], self.recipe.augmentation, random).view(*shape, -1)
        turns, change = ranks.share(turns.T).T.contiguous(), ranks.share(change.transpose(0, 1)).transpose(0, 1).to(self.device)
        for i, (batch, chosen) in enumerate(zip(fed(self.pictures, turns, self.device), turns.to(self.device))):  # uint8 [B, H, W, C]
            yield (self.loss(batch, self.objects[chosen], change[i], seed + i) * self.weights[chosen]).sum() / self.batch_size
        if self.validation:
            calibrate(self.model, *self.validation, self.recipe.batch_size, device=self.device, dtype=self.dtype)

    def loss(self, batch: Tensor, objects: Tensor, change: Tensor, seed: int) -> Tensor:
        """The loss of each picture, changed in its own way: uint8 [B, H, W, C], [B, M, 5] and [B, 5 + C] give [B].

        A two-stage net draws which of its proposals count; the draw follows from the seed.
        """
        x, boxes = augmented(batch, objects[..., :4].contiguous(), change, self.model.gain, self.model.bias)
        targets = torch.cat([boxes, still_there(objects, boxes, change[:, :2]).unsqueeze(2)], 2)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
                return self.net(x.contiguous(memory_format=torch.channels_last), targets)

    def memory(self) -> dict[str, Tensor]:
        """Nothing: all that is learned lies in the model."""
        return {}

    def remember(self, memory: dict[str, Tensor]) -> None:
        """Nothing to remember."""


def still_there(objects: Tensor, moved: Tensor, factor: Tensor) -> Tensor:
    """The class of each object [B, M, 5] after its box moved to [B, M, 4] by a factor [B, 2]; EMPTY where too little of it is left."""

    def area(boxes: Tensor) -> Tensor:
        return (boxes[..., 2:4] - boxes[..., :2]).prod(2)

    whole = area(objects) / factor.abs().prod(1, keepdim=True)
    return torch.where(area(moved) > LEAST * whole, objects[..., 4], float(EMPTY))
