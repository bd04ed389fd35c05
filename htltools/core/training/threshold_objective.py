"""What objectives share whose samples come once an epoch, and whose model has a threshold that the validation samples set."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from htltools.core.nets.localizer import Localizer
from htltools.core.runtime import distributed
from htltools.core.runtime.prefetch import ImageSource, fed, nearest
from htltools.core.training.augmentation import changes
from htltools.core.training.loop import Recipe, epoch_seed
from htltools.errors import UsageError


class Calibrated:
    """An objective of N samples: `loss` of augmented images, each times its weight, and `calibrate` after each epoch.

    The last incomplete batch of an epoch is left out, unless it is the only one.

    Raises: UsageError for fewer samples in a batch than processes; whatever torch.compile raises.
    """

    def __init__(
        self,
        model: Localizer,
        images: ImageSource,
        weights: np.ndarray,  # float32 [N], mean 1
        validation: tuple[ImageSource, np.ndarray] | None,
        recipe: Recipe,
        *,
        device: torch.device,
        dtype: torch.dtype,
        compiled: bool = False,
    ):
        self.batch_size = min(recipe.batch_size, len(weights))
        self.steps = len(weights) // self.batch_size
        if self.batch_size < distributed.count():
            raise UsageError(f"a batch of {self.batch_size} cannot be shared by {distributed.count()} processes")
        self.recipe, self.device, self.dtype = recipe, device, dtype
        self.model = self.evaluated = model.to(device, memory_format=torch.channels_last)
        net = distributed.trained_together(model.net, device)
        self.net = torch.compile(net) if compiled else net
        self.images, self.weights = nearest(images, device), torch.from_numpy(weights).to(device)
        self.validation = (nearest(validation[0], device), validation[1]) if validation else None

    def losses(self, epoch: int) -> Iterator[Tensor]:
        """The loss of each step of an epoch; the threshold moves after the last one."""
        seed = epoch_seed(self.recipe.seed, epoch)
        random = torch.Generator().manual_seed(seed)
        shape = self.steps, self.batch_size
        turns = torch.randperm(len(self.weights), generator=random)[: self.steps * self.batch_size].view(shape)
        change = changes(turns.numel(), self.images.shape[3], self.recipe.augmentation, random).view(*shape, -1)
        turns, change = distributed.share(turns.T).T.contiguous(), distributed.share(change.transpose(0, 1)).transpose(0, 1).to(self.device)
        for i, (batch, chosen) in enumerate(zip(fed(self.images, turns, self.device), turns.to(self.device))):  # uint8 [B, H, W, C]
            yield (self.loss(batch, chosen, change[i], seed + i) * self.weights[chosen]).sum() / self.batch_size
        if self.validation:
            self.calibrate(*self.validation)

    def loss(self, batch: Tensor, chosen: Tensor, change: Tensor, seed: int) -> Tensor:
        """The loss of each image, changed in its own way: uint8 [B, H, W, C], which samples int64 [B], [B, 5 + C]; float [B].

        What it draws follows from the seed.
        """
        raise NotImplementedError

    def calibrate(self, images: Any, annotated: np.ndarray) -> None:
        """Set the threshold of the model anew, on validation samples."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing: all that is learned lies in the model."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Nothing to remember."""
