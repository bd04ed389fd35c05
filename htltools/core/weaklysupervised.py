"""Weak supervision: every training sample has a class, none a box. Boxes of the validation split set one number, the threshold."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from htltools.core import ranks
from htltools.core.answers import answers, batches
from htltools.core.augmentation import augmented, changes
from htltools.core.boxes import iou
from htltools.core.evidence import map_boxes
from htltools.core.feed import OnDevice, PictureSource, fed, nearest
from htltools.core.localizer import MapLocalizer
from htltools.core.loop import Recipe, epoch_seed
from htltools.errors import UsageError

THRESHOLDS = np.linspace(0.1, 0.6, 21).round(3)  # that are tried
AT_ONCE = 128


class WeaklySupervised:
    """The objective of N samples with a class each: the cross-entropy of every class map's mean, each sample times its weight.

    Rare classes weigh more (see `class_balance`). After each epoch the threshold of the map is set anew on the validation samples.
    The last incomplete batch of an epoch is left out, unless it is the only one.

    Raises: UsageError for fewer samples in a batch than processes; whatever torch.compile raises.
    """

    def __init__(
        self,
        model: MapLocalizer,
        pictures: PictureSource,
        classes: np.ndarray,  # int64 [N]
        weights: np.ndarray,  # float32 [N], mean 1
        validation: tuple[PictureSource, np.ndarray] | None,
        recipe: Recipe,
        *,
        device: torch.device,
        dtype: torch.dtype,
        compiled: bool = False,
    ):
        self.batch_size = min(recipe.batch_size, len(classes))
        self.steps = len(classes) // self.batch_size
        if self.batch_size < ranks.count():
            raise UsageError(f"a batch of {self.batch_size} cannot be shared by {ranks.count()} processes")
        self.recipe, self.device, self.dtype = recipe, device, dtype
        self.model = self.answering = model.to(device, memory_format=torch.channels_last)
        net = ranks.trained_together(model.net, device)
        self.net = torch.compile(net) if compiled else net
        self.pictures = nearest(pictures, device)
        self.classes, self.weights = torch.from_numpy(classes).to(device), torch.from_numpy(weights * class_balance(classes)).to(device)
        self.validation = (nearest(validation[0], device), validation[1]) if validation else None

    def losses(self, epoch: int) -> Iterator[Tensor]:
        """The loss of each step of an epoch; the threshold moves after the last one."""
        random = torch.Generator().manual_seed(epoch_seed(self.recipe.seed, epoch))
        shape = self.steps, self.batch_size
        turns = torch.randperm(len(self.classes), generator=random)[: self.steps * self.batch_size].view(shape)
        change = changes(turns.numel(), self.pictures.shape[3], self.recipe.augmentation, random).view(*shape, -1)
        turns, change = ranks.share(turns.T).T.contiguous(), ranks.share(change.transpose(0, 1)).transpose(0, 1).to(self.device)
        for i, (batch, chosen) in enumerate(zip(fed(self.pictures, turns, self.device), turns.to(self.device))):  # uint8 [B, H, W, C]
            yield (self.loss(batch, self.classes[chosen], change[i]) * self.weights[chosen]).sum() / self.batch_size
        if self.validation:
            calibrate(self.model, *self.validation, device=self.device, dtype=self.dtype)

    def loss(self, batch: Tensor, classes: Tensor, change: Tensor) -> Tensor:
        """The loss of each picture, changed in its own way: uint8 [B, H, W, C], int64 [B] and [B, 5 + C] give [B]."""
        nowhere = torch.zeros(len(batch), 4, device=batch.device)
        x, _ = augmented(batch, nowhere, change, self.model.gain, self.model.bias)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            maps = self.net(x.contiguous(memory_format=torch.channels_last))  # [B, K, h, w] each
        each = [cross_entropy(scores.float().mean((2, 3)), classes, reduction="none") for scores in maps]
        return torch.stack(each).mean(0)

    def memory(self) -> dict[str, Tensor]:
        """Nothing: all that is learned lies in the model."""
        return {}

    def remember(self, memory: dict[str, Tensor]) -> None:
        """Nothing to remember."""


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
    """The map of a localizer in the place of its box: uint8 [B, H, W, C] to [B, h, w]."""

    def __init__(self, model: MapLocalizer):
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor) -> Tensor:
        return self.model.map(self.model.normalised(pictures))


def calibrate(
    model: MapLocalizer, pictures: PictureSource | OnDevice, boxes: np.ndarray, *, device: torch.device, dtype: torch.dtype
) -> None:
    """Set the threshold of a map localizer, in place, to the one of THRESHOLDS with the highest mean IoU with the boxes [N, 4]."""
    turns = ranks.share(batches(pictures.shape[0], AT_ONCE))
    sums = torch.zeros(len(THRESHOLDS), dtype=torch.float64)
    for chosen, maps in zip(turns, answers([MapOf(model)], fed(pictures, turns, device), device=device, dtype=dtype)):
        sums += torch.tensor([iou(map_boxes(maps[0], threshold).cpu().numpy(), boxes[chosen]).sum() for threshold in THRESHOLDS])
    best = int(ranks.summed(sums.to(device, torch.float32)).argmax())
    model.threshold.fill_(float(THRESHOLDS[best]))
