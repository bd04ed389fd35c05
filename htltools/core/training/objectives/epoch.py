"""The form of objectives whose N annotated samples come once an epoch, in batches that the processes of a job share."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from htltools.core.nets.localizer import Localizer
from htltools.core.runtime import distributed
from htltools.core.runtime.batches import number_of_batches
from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.prefetch import OnDevice, load_batches, on_device_if_it_fits
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.augmentation import draw_changes
from htltools.core.training.loop import epoch_seed
from htltools.core.training.schedule import Recipe
from htltools.core.training.validation import mean_iou
from htltools.errors import UsageError


class EpochObjective:
    """An objective of N samples: `loss` of augmented images, each times its weight.

    Every sample comes once an epoch, in batches that differ by one sample at most; none is of one sample, unless --batch-size is 1.

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
        largest, processes = min(recipe.batch_size, len(weights)), distributed.world_size()
        if largest < processes:
            raise UsageError(f"a batch of {largest} cannot be shared by {processes} processes")
        self.steps = number_of_batches(len(weights), largest, min(largest, 2 * processes))
        self.smallest_batch = len(weights) // self.steps
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
        samples = self.epoch_samples(random)
        own = [distributed.share(batch) for batch in samples]
        on_device = torch.cat(own).to(device).split([len(batch) for batch in own])
        changes = [distributed.share(change) for change in self.epoch_changes(random).to(device).tensor_split(self.steps)]
        weights = torch.from_numpy(self.epoch_weights()).to(device)
        for i, (batch, chosen) in enumerate(zip(load_batches(self.images, own, device), on_device)):  # uint8 [own share, H, W, C]
            yield (self.loss(batch, chosen, changes[i], seed + i) * weights[chosen]).sum() / len(samples[i])
        self.end_epoch(samples)

    def epoch_samples(self, random: torch.Generator) -> Sequence[Tensor]:
        """The samples of each batch of an epoch: int64 [B] each."""
        shuffle = self.recipe.shuffle
        order = shuffle.order(random) if shuffle else torch.randperm(len(self.weights), generator=random)
        return order.tensor_split(self.steps)

    def epoch_changes(self, random: torch.Generator) -> Tensor:
        """How each image of an epoch is augmented, in the order of the batches: [N, 5 + C]."""
        return draw_changes(len(self.weights), self.channels, self.recipe.augmentation, random)

    def epoch_weights(self) -> np.ndarray:
        """The weight of each sample in an epoch: float32 [N]."""
        return self.weights

    def begin_epoch(self, epoch: int, seed: int) -> None:
        """Called before the first step of an epoch."""

    def end_epoch(self, samples: Sequence[Tensor]) -> None:
        """Called after the last step of an epoch, whose batches had the samples int64 [B] each."""

    def loss(self, batch: Tensor, chosen: Tensor, change: Tensor, seed: int) -> Tensor:
        """The loss of each image, augmented: images uint8 [B, H, W, C], samples int64 [B], changes [B, ...]; float [B].

        All that is random follows from the seed.
        """
        raise NotImplementedError

    def validated(self, images: ImageSource | OnDevice, targets: np.ndarray) -> tuple[np.ndarray | None, float]:
        """As `Objective.validated`, without the loss: not every objective has targets for it."""
        return None, mean_iou(self.evaluated, images, targets, self.runtime.at(self.recipe.batch_size))

    def state_dict(self) -> dict[str, Tensor]:
        """State to resume from, beside that of the model: none."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Resume from `state_dict`."""
