"""Full supervision by boxes: every training sample has one. Attention to hard samples happens here."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from htltools.core.geometry.warping import warp_boxes
from htltools.core.nets.localizer import Localizer
from htltools.core.runtime import distributed
from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.prefetch import OnDevice
from htltools.core.runtime.runtime import Runtime
from htltools.core.sampling.sample_weights import hardest, top_weights
from htltools.core.training.adaptive_weighting import Attention, hardness_now
from htltools.core.training.augmentation import changed_images, draw_changes
from htltools.core.training.dynamics_record import Record
from htltools.core.training.enlarging import DRAWS, Crops, crop_shares, cut_first, draw_crops
from htltools.core.training.objectives.epoch import EpochObjective
from htltools.core.training.objectives.pruned_branch import PrunedBranch
from htltools.core.training.schedule import Recipe
from htltools.core.training.validation import losses_and_mean_iou
from htltools.errors import UsageError

Net = Callable[[Tensor], Tensor]  # normalised images [B, C, h, w] to raw outputs
DECODED_AT_ONCE = 2**22  # numbers on a GPU, where decoding maps takes as long for many images as for few; a CPU decodes each batch


class BoxObjective(EpochObjective):
    """The objective of N samples with a box each: the localizer's loss of augmented images, each times its weight.

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
        self.crops = Crops(self.attention.share) if self.attention.way == "look" else None
        self.crop_shares = torch.full((len(boxes),), self.attention.share if self.crops else 0.0, device=runtime.device)
        self.hardness = np.full(len(boxes), np.nan)  # when it was last measured
        self.record = Record(len(boxes))
        self.noted: list[Tensor] = []  # [own share, 2, 4] of each step of an epoch: predictions beside targets
        self.waiting: list[tuple[Tensor, Tensor]] = []  # raw predictions and boxes [own share, 4] of steps that are not noted yet
        self.decoded_at_once = DECODED_AT_ONCE if runtime.device.type == "cuda" else 1

    @property
    def views(self) -> int:
        """How often each image is augmented: once more for the pruned branch."""
        return 2 if self.branch else 1

    def begin_epoch(self, epoch: int, seed: int) -> None:
        """Measure hardness and renew the pruned branch, where they are due."""
        self.noted, self.waiting = [], []
        attention = self.attention
        if attention.is_due(epoch, self.recipe.epochs):
            self.hardness = hardness_now(self.model, self.images, self.boxes, attention, seed, self.runtime)
        if self.crops and not np.isnan(self.hardness).any():
            weights = top_weights(self.hardness, attention.top, attention.boost)
            self.crop_shares = crop_shares(self.crops, torch.from_numpy(weights)).to(self.crop_shares)
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
        """How each image of an epoch is augmented and cut, in the order of the batches: [N, views, 5 + C + DRAWS]."""
        count = self.views * len(self.weights)
        drawn = draw_changes(count, self.channels, self.recipe.augmentation, random)
        crops = draw_crops(count, self.crops, random) if self.crops else torch.ones(count, DRAWS)
        return torch.cat([drawn, crops], 1).view(self.views, len(self.weights), -1).transpose(0, 1)

    def epoch_weights(self) -> np.ndarray:
        """The weight of each sample in an epoch: float32 [N]."""
        if self.attention.way != "adaptive" or np.isnan(self.hardness).any():
            return self.weights
        weights = self.weights * top_weights(self.hardness, self.attention.top, self.attention.boost)
        return (weights * self.weights.mean() / weights.mean()).astype(np.float32)

    def loss(self, batch: Tensor, chosen: Tensor, change: Tensor, seed: int) -> Tensor:
        raw, target = self.output_and_target(self.net, batch, chosen, change[:, 0])
        self.note(chosen, raw.detach(), target, change[:, 0])
        loss = self.model.training_loss(raw, target)
        if self.branch:
            share = self.attention.boost / (1 + self.attention.boost)
            loss = (1 - share) * loss + share * self.model.training_loss(*self.output_and_target(self.branch, batch, chosen, change[:, 1]))
        return loss

    def output_and_target(self, net: Net, batch: Tensor, chosen: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        """What a net gives, and should give, for the chosen samples [B], whose images uint8 [B, H, W, C] are changed [B, 5 + C + DRAWS]."""
        change = self.cut_first(chosen, change)
        size = self.model.input_size(batch.permute(0, 3, 1, 2))
        x, target = self.seen(batch, chosen, change, size)
        with self.runtime.autocast():
            raw = net(x.contiguous(memory_format=torch.channels_last))
        return raw, target

    def cut_first(self, chosen: Tensor, change: Tensor) -> Tensor:
        """The changes [B, 5 + C] of the chosen samples, with the crops that were drawn for them [B, 5 + C + DRAWS]."""
        change, draws = change[:, :-DRAWS], change[:, -DRAWS:]
        return cut_first(change, self.targets[chosen], draws, self.crop_shares[chosen]) if self.crops else change

    def seen(self, batch: Tensor, chosen: Tensor, change: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """What the net sees of the chosen samples, float32 [B, C, *size], and what it should say of it."""
        x = changed_images(batch, change, self.model.gain, self.model.bias, size)
        return x, self.model.training_targets(self.targets[chosen], change[:, :2], change[:, 2:4], size)

    def note(self, chosen: Tensor, raw: Tensor, target: Tensor, change: Tensor) -> None:
        """Keep what the record of the epoch needs of a step: the predicted and the annotated boxes."""
        change = self.cut_first(chosen, change)
        self.waiting.append((raw, warp_boxes(self.targets[chosen], change[:, :2], change[:, 2:4])))
        if sum(raw.numel() for raw, _ in self.waiting) >= self.decoded_at_once:
            self.decode_waiting()

    def decode_waiting(self) -> None:
        """Note the boxes of the steps whose predictions are not decoded yet."""
        if self.waiting:
            raw, boxes = map(torch.cat, zip(*self.waiting))
            self.noted += torch.stack([self.model.decoded(raw), boxes], 1).split([len(own) for _, own in self.waiting])
            self.waiting = []

    def end_epoch(self, samples: Sequence[Tensor]) -> None:
        """Record the epoch."""
        self.decode_waiting()
        self.record.add_boxes(samples, distributed.gathered(self.noted, samples))

    def validated(self, images: ImageSource | OnDevice, targets: np.ndarray) -> tuple[np.ndarray | None, float]:
        return losses_and_mean_iou(self.model, images, targets, self.runtime.at(self.recipe.batch_size))

    def state_dict(self) -> dict[str, Tensor]:
        """State to resume from, beside that of the model."""
        return {"hardness": torch.from_numpy(self.hardness)} | self.record.state_dict() | (self.branch.state_dict() if self.branch else {})

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        self.hardness = state_dict["hardness"].numpy()
        self.record.load_state_dict(state_dict)
        if self.branch:
            self.branch.load_state_dict(state_dict)
