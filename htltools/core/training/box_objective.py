"""Full supervision: every training sample has a box. Attention to the hard ones, where it is asked for, is paid here."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from htltools.core.geometry.box_loss import box_loss
from htltools.core.nets.localizer import Localizer, boxes_of
from htltools.core.runtime import distributed
from htltools.core.runtime.prefetch import ImageSource, fed, nearest
from htltools.core.sampling.sample_weights import hardest, top_weights
from htltools.core.training.adaptive_weighting import Attending, hardness_now
from htltools.core.training.augmentation import augmented, changes
from htltools.core.training.dynamics_record import Record
from htltools.core.training.loop import Recipe, epoch_seed
from htltools.core.training.pruned_branch import PrunedBranch
from htltools.errors import UsageError


class Supervised:
    """The objective of N annotated samples: the box loss of augmented images, each times its weight.

    The last incomplete batch of an epoch is left out, unless it is the only one.

    Raises: UsageError for fewer samples in a batch than processes, or a pruned branch in several processes; whatever torch.compile raises.
    """

    def __init__(
        self,
        model: Localizer,
        images: ImageSource,
        boxes: np.ndarray,  # float32 [N, 4]
        weights: np.ndarray,  # float32 [N], mean 1
        recipe: Recipe,
        *,
        device: torch.device,
        dtype: torch.dtype,
        attending: Attending = Attending(),
        compiled: bool = False,
    ):
        self.batch_size = min(recipe.batch_size, len(boxes))
        self.steps = len(boxes) // self.batch_size
        if self.batch_size < distributed.count():
            raise UsageError(f"a batch of {self.batch_size} cannot be shared by {distributed.count()} processes")
        if attending.way == "damaged" and distributed.together():
            raise UsageError("--attend damaged trains in one process", "leave out --nproc-per-node")
        self.recipe, self.attending, self.device, self.dtype = recipe, attending, device, dtype
        self.model = self.evaluated = model.to(device, memory_format=torch.channels_last)
        self.branch = PrunedBranch(model.net, 0.0 if attending.by == "loss" else attending.sparsity) if attending.way == "damaged" else None
        net = distributed.trained_together(model.net, device)
        self.net = torch.compile(net) if compiled else net
        self.images, self.boxes, self.weights = nearest(images, device), boxes, weights
        self.hardness = np.full(len(boxes), np.nan)  # as it was last told
        self.record = Record(len(boxes))

    def losses(self, epoch: int) -> Iterator[Tensor]:
        """The loss of each step of an epoch."""
        self.renew(epoch)
        targets, importance = torch.from_numpy(self.boxes).to(self.device), torch.from_numpy(self.importance()).to(self.device)
        random = torch.Generator().manual_seed(epoch_seed(self.recipe.seed, epoch))
        turns = self.turns(random)  # [B, steps]
        views = 2 if self.branch else 1
        change = changes(turns.numel() * views, self.images.shape[3], self.recipe.augmentation, random)
        everyone, turns = turns.T, distributed.share(turns).T.contiguous()  # [steps, B], [steps, own part]
        change = distributed.share(change.view(views, self.batch_size, self.steps, -1).transpose(0, 1))  # [own part, views, steps, 5 + C]
        change = change.permute(1, 2, 0, 3).to(self.device)
        predictions = torch.zeros(*everyone.shape, 2, 4, device=self.device)  # of the whole epoch, each beside its annotated box
        for i, (batch, chosen) in enumerate(zip(fed(self.images, turns, self.device), turns.to(self.device))):  # uint8 [B, H, W, C]
            predicted, annotated = self.predicted_and_target(self.net, batch, targets[chosen], change[0, i])
            distributed.share(predictions[i])[:] = torch.stack([predicted.detach(), annotated], 1)
            loss = box_loss(predicted, annotated)
            if self.branch:
                share = self.attending.boost / (1 + self.attending.boost)
                loss = (1 - share) * loss + share * box_loss(*self.predicted_and_target(self.branch, batch, targets[chosen], change[1, i]))
            yield (loss * importance[chosen]).sum() / self.batch_size
        self.record.add(everyone.to(self.device), *distributed.summed(predictions).unbind(2))

    def predicted_and_target(self, net, batch: Tensor, boxes: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted and annotated box, [B, 4] each, of images uint8 [B, H, W, C] with boxes [B, 4], changed by [B, 5 + C]."""
        x, y = augmented(batch, boxes, change, self.model.gain, self.model.bias)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            raw = net(x.contiguous(memory_format=torch.channels_last))  # [B, 4]
        return boxes_of(raw), y

    def renew(self, epoch: int) -> None:
        """Tell anew, before an epoch, who is hard and which weights are cut, where it is time for that."""
        how, seed = self.attending, epoch_seed(self.recipe.seed, epoch)
        if how.is_due(epoch, self.recipe.epochs):
            self.hardness = hardness_now(self.model, self.images, self.boxes, how, seed, device=self.device, dtype=self.dtype)
        if self.branch and epoch % how.renew == 0:
            self.branch.renew(seed if how.by == "random" else None)

    def importance(self) -> np.ndarray:
        """The weight of each sample in this epoch: float32 [N]."""
        if self.attending.way != "adaptive" or np.isnan(self.hardness).any():
            return self.weights
        weights = self.weights * top_weights(self.hardness, self.attending.top, self.attending.boost)
        return (weights * self.weights.mean() / weights.mean()).astype(np.float32)

    def turns(self, random: torch.Generator) -> Tensor:
        """Which samples make up each batch of an epoch: int64 [B, steps].

        In the second phase of `replay` a part of each batch is drawn from the hard ones, so large that these come 1 + boost
        times as often as the others.
        """
        count = self.steps * self.batch_size
        turns = torch.randperm(len(self.boxes), generator=random)[:count].view(self.steps, self.batch_size).T
        if self.attending.way != "replay" or np.isnan(self.hardness).any():
            return turns
        hard = torch.from_numpy(np.flatnonzero(hardest(self.hardness, self.attending.top)))
        extra = self.attending.boost * self.attending.top
        places = round(self.batch_size * extra / (1 + extra))
        if not places or not len(hard):
            return turns
        rounds = [hard[torch.randperm(len(hard), generator=random)] for _ in range(-(-places * self.steps // len(hard)))]
        turns = turns.clone()
        turns[:places] = torch.cat(rounds)[: places * self.steps].view(places, self.steps)
        return turns

    def state_dict(self) -> dict[str, Tensor]:
        """What it takes to go on after an epoch."""
        return {"hardness": torch.from_numpy(self.hardness)} | self.record.state_dict() | (self.branch.state_dict() if self.branch else {})

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Go on from what `memory` said."""
        self.hardness = state_dict["hardness"].numpy()
        self.record.load_state_dict(state_dict)
        if self.branch:
            self.branch.load_state_dict(state_dict)
