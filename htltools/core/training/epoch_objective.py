"""The form of objectives whose N annotated samples come once an epoch, in batches that the processes of a job share."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from htltools.core.nets.localizer import Localizer
from htltools.core.runtime import distributed
from htltools.core.runtime.prefetch import ImageSource, load_batches, on_device_if_it_fits
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.augmentation import draw_changes
from htltools.core.training.loop import Recipe, epoch_seed
from htltools.errors import UsageError


class EpochObjective:
    """An objective of N samples: `loss` of augmented images, each times its weight.

    The last incomplete batch of an epoch is left out, unless it is the only one.

    Raises: UsageError for fewer samples in a batch than processes; whatever torch.compile raises.
    """

    def __init__(
        self,
        model: Localizer,
        images: ImageSource,
        weights: np.ndarray,  # float32 [N], mean 1
        recipe: Recipe,
        runtime: Runtime,
        *,
        compiled: bool = False,
    ):
        self.batch_size = min(recipe.batch_size, len(weights))
        self.steps = len(weights) // self.batch_size
        if self.batch_size < distributed.world_size():
            raise UsageError(f"a batch of {self.batch_size} cannot be shared by {distributed.world_size()} processes")
        self.recipe, self.runtime = recipe, runtime
        self.model = self.evaluated = model.to(runtime.device).to(memory_format=torch.channels_last)
        net = distributed.data_parallel(model.net, runtime.device)
        self.net = torch.compile(net) if compiled else net
        self.images, self.weights = on_device_if_it_fits(images, runtime.device), weights
        self.channels = images.shape[3]

    def losses(self, epoch: int) -> Iterator[Tensor]:
        """The loss of each step of an epoch, []."""
        seed, device = epoch_seed(self.recipe.seed, epoch), self.runtime.device
        random = torch.Generator().manual_seed(seed)
        self.begin_epoch(epoch, seed)
        samples = self.epoch_samples(random)  # [steps, B]
        change = distributed.share(self.epoch_changes(random).transpose(0, 1)).transpose(0, 1).to(device)  # [steps, own share, ...]
        own = distributed.share(samples.T).T.contiguous()  # [steps, own share]
        weights = torch.from_numpy(self.epoch_weights()).to(device)
        for i, (batch, chosen) in enumerate(zip(load_batches(self.images, own, device), own.to(device))):  # uint8 [B, H, W, C]
            yield (self.loss(batch, chosen, change[i], seed + i) * weights[chosen]).sum() / self.batch_size
        self.end_epoch(samples)

    def epoch_samples(self, random: torch.Generator) -> Tensor:
        """The samples of each batch of an epoch: int64 [steps, B]."""
        return torch.randperm(len(self.weights), generator=random)[: self.steps * self.batch_size].view(self.steps, self.batch_size)

    def epoch_changes(self, random: torch.Generator) -> Tensor:
        """How each image of an epoch is augmented: [steps, B, 5 + C]."""
        drawn = draw_changes(self.steps * self.batch_size, self.channels, self.recipe.augmentation, random)
        return drawn.view(self.steps, self.batch_size, -1)

    def epoch_weights(self) -> np.ndarray:
        """The weight of each sample in an epoch: float32 [N]."""
        return self.weights

    def begin_epoch(self, epoch: int, seed: int) -> None:
        """Called before the first step of an epoch."""

    def end_epoch(self, samples: Tensor) -> None:
        """Called after the last step of an epoch, whose batches had the samples int64 [steps, B]."""

    def loss(self, batch: Tensor, chosen: Tensor, change: Tensor, seed: int) -> Tensor:
        """The loss of each image, augmented: images uint8 [B, H, W, C], samples int64 [B], changes [B, ...]; float [B].

        All that is random follows from the seed.
        """
        raise NotImplementedError

    def state_dict(self) -> dict[str, Tensor]:
        """State to resume from, beside that of the model: none."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Resume from `state_dict`."""
