"""Full supervision by boxes: every training sample has one. Attention to hard samples happens here."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from htltools.core.geometry.box_loss import box_loss
from htltools.core.nets.localizer import Localizer, boxes_of
from htltools.core.runtime import distributed
from htltools.core.runtime.prefetch import ImageSource
from htltools.core.runtime.runtime import Runtime
from htltools.core.sampling.sample_weights import hardest, top_weights
from htltools.core.training.adaptive_weighting import Attention, hardness_now
from htltools.core.training.augmentation import augmented, draw_changes
from htltools.core.training.dynamics_record import Record
from htltools.core.training.epoch_objective import EpochObjective
from htltools.core.training.loop import Recipe
from htltools.core.training.pruned_branch import PrunedBranch
from htltools.errors import UsageError


class BoxObjective(EpochObjective):
    """The objective of N samples with a box each: the box loss of augmented images, each times its weight.

    `record` has the training dynamics: IoU and margin of each sample in each epoch.

    Raises: UsageError as `EpochObjective`, and for a pruned branch in several processes; whatever torch.compile raises.
    """

    def __init__(
        self,
        model: Localizer,
        images: ImageSource,
        boxes: np.ndarray,  # float [N, 4]
        weights: np.ndarray,  # float32 [N], mean 1
        recipe: Recipe,
        runtime: Runtime,
        *,
        attention: Attention | None = None,
        compiled: bool = False,
    ):
        self.attention = attention or Attention()
        damaged = self.attention.way == "damaged"
        if damaged and distributed.is_active():
            raise UsageError("attention by a pruned branch trains in one process", "start only one")
        super().__init__(model, images, weights, recipe, runtime, compiled=compiled)
        self.branch = PrunedBranch(model, 0.0 if self.attention.by == "loss" else self.attention.sparsity) if damaged else None
        self.boxes, self.targets = boxes, torch.from_numpy(boxes).float().to(runtime.device)
        self.hardness = np.full(len(boxes), np.nan)  # when it was last measured
        self.record = Record(len(boxes))
        self.noted: list[Tensor] = []  # [own share, 2, 4] of each step of an epoch: predictions beside targets

    @property
    def views(self) -> int:
        """How often each image is augmented: once more for the pruned branch."""
        return 2 if self.branch else 1

    def begin_epoch(self, epoch: int, seed: int) -> None:
        """Measure hardness and renew the pruned branch, where they are due."""
        self.noted = []
        attention = self.attention
        if attention.is_due(epoch, self.recipe.epochs):
            self.hardness = hardness_now(self.model, self.images, self.boxes, attention, seed, self.runtime)
        if self.branch and epoch % attention.renew == 0:
            self.branch.renew(seed if attention.by == "random" else None)

    def epoch_samples(self, random: torch.Generator) -> Sequence[Tensor]:
        """The samples of each batch of an epoch: int64 [B] each.

        In the second phase of `replay` a part of each batch is drawn from the hard ones, so large that these come 1 + boost
        times as often as the others.
        """
        samples = super().epoch_samples(random)
        if self.attention.way != "replay" or np.isnan(self.hardness).any():
            return samples
        hard = torch.from_numpy(np.flatnonzero(hardest(self.hardness, self.attention.top)))
        extra = self.attention.boost * self.attention.top
        places = [round(len(batch) * extra / (1 + extra)) for batch in samples]
        if not sum(places) or not len(hard):
            return samples
        rounds = [hard[torch.randperm(len(hard), generator=random)] for _ in range(-(-sum(places) // len(hard)))]
        drawn = torch.cat(rounds)[: sum(places)].split(places)
        return [torch.cat([own, batch[len(own) :]]) for own, batch in zip(drawn, samples)]

    def epoch_changes(self, random: torch.Generator) -> Tensor:
        """How each image of an epoch is augmented, in the order of the batches: [N, views, 5 + C]."""
        drawn = draw_changes(self.views * len(self.weights), self.channels, self.recipe.augmentation, random)
        return drawn.view(self.views, len(self.weights), -1).transpose(0, 1)

    def epoch_weights(self) -> np.ndarray:
        """The weight of each sample in an epoch: float32 [N]."""
        if self.attention.way != "adaptive" or np.isnan(self.hardness).any():
            return self.weights
        weights = self.weights * top_weights(self.hardness, self.attention.top, self.attention.boost)
        return (weights * self.weights.mean() / weights.mean()).astype(np.float32)

    def loss(self, batch: Tensor, chosen: Tensor, change: Tensor, seed: int) -> Tensor:
        boxes = self.targets[chosen]
        predicted, target = self.predicted_and_target(self.net, batch, boxes, change[:, 0])
        self.noted.append(torch.stack([predicted.detach(), target], 1))
        loss = box_loss(predicted, target)
        if self.branch:
            share = self.attention.boost / (1 + self.attention.boost)
            loss = (1 - share) * loss + share * box_loss(*self.predicted_and_target(self.branch, batch, boxes, change[:, 1]))
        return loss

    def predicted_and_target(self, net, batch: Tensor, boxes: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted and target box, [B, 4] each, of images uint8 [B, H, W, C] with boxes [B, 4], changed by [B, 5 + C]."""
        x, target = augmented(batch, boxes, change, self.model.gain, self.model.bias)
        with self.runtime.autocast():
            raw = net(x.contiguous(memory_format=torch.channels_last))  # [B, 4]
        return boxes_of(raw), target

    def end_epoch(self, samples: Sequence[Tensor]) -> None:
        """Record the epoch."""
        self.record.add_boxes(samples, distributed.gathered(self.noted, samples))

    def state_dict(self) -> dict[str, Tensor]:
        """State to resume from, beside that of the model."""
        return {"hardness": torch.from_numpy(self.hardness)} | self.record.state_dict() | (self.branch.state_dict() if self.branch else {})

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        self.hardness = state_dict["hardness"].numpy()
        self.record.load_state_dict(state_dict)
        if self.branch:
            self.branch.load_state_dict(state_dict)
