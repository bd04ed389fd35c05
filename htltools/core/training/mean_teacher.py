"""Semi-supervision: some samples have a box, the others are learned from what a mean teacher answers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from htltools.core.geometry.box_loss import box_loss
from htltools.core.nets.localizer import Localizer, boxes_of
from htltools.core.runtime import distributed
from htltools.core.runtime.prefetch import ImageSource, fed, nearest
from htltools.core.sampling.sample_weights import top_weights
from htltools.core.training.augmentation import Augmentation, augmented, changes
from htltools.core.training.dynamics_record import overlaps
from htltools.core.training.loop import Recipe, epoch_seed
from htltools.core.training.pruned_branch import PrunedBranch
from htltools.errors import UsageError

USES = ("teacher", "attend", "suppress", "consistency", "none")
DECAY = 0.99  # of the teacher's memory
STRONG = Augmentation(shift=0.15, scale=0.3, stretch=0.15, light=0.4, colour=0.2)
RAMP = 0.3  # of the steps, over which the unlabelled samples gain their weight


@dataclass(frozen=True)
class Unlabelled:
    """What unlabelled samples are used for. `by`: what pseudo-boxes are judged by; `loss` and `random` are the controls that do not prune.

    `teacher`: the student learns the teacher's boxes, all alike. `attend`: those of the top share weigh 1 + boost. `suppress`: those
    of the top share are left out. `consistency`: only the pruned branch learns them. `none`: they are not used; the control.
    """

    use: str = "teacher"
    by: str = "pruned_disagreement"
    top: float = 0.3
    boost: float = 1.0
    renew: int = 3  # epochs after which the mask is renewed
    sparsity: float = 0.8
    weight: float = 1.0  # of the loss of the unlabelled ones against that of the labelled ones


class MeanTeacher:
    """The objective of L labelled and U unlabelled samples; each step takes a batch of both.

    The teacher is the moving average of the student, and what is kept. It answers for a mirror image at most (weak augmentation);
    the student sees the same image much changed (strong), and learns the box, changed likewise. A pruned branch of the student
    answers for the strong view as well: where it is far from the teacher (`pruned_disagreement`), the answer hangs on weights that hold little.
    An epoch has as many steps as the larger of the two sets has batches, whatever the use, so that uses compare.

    Reference: Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017 (arXiv 1703.01780); Sohn et al., "FixMatch",
    NeurIPS 2020 (arXiv 2001.07685), for weak and strong views. Deviations: boxes have no class confidence to gate by; pruned_disagreement and its
    controls take that place, by rank in each batch.

    Raises: UsageError in several processes; whatever torch.compile raises.
    """

    def __init__(
        self,
        model: Localizer,
        labelled: tuple[ImageSource, np.ndarray, np.ndarray],  # images, boxes float32 [L, 4], weights float32 [L]
        unlabelled: ImageSource,  # U images
        recipe: Recipe,
        how: Unlabelled,
        *,
        device: torch.device,
        dtype: torch.dtype,
        compiled: bool = False,
    ):
        if distributed.together():
            raise UsageError("--supervision semi trains in one process", "leave out --nproc-per-node")
        self.model = model.to(device, memory_format=torch.channels_last)
        self.teacher = AveragedModel(model, multi_avg_fn=ema_update, use_buffers=True).requires_grad_(False)
        self.evaluated = self.teacher.module
        self.net = torch.compile(model.net) if compiled else model.net
        prunes = how.use == "consistency" or (
            how.use in ("attend", "suppress") and how.by in ("pruned_disagreement", "pruned_shift", "pruned_loss")
        )
        self.branch = PrunedBranch(model.net, how.sparsity) if prunes else None
        self.recipe, self.how, self.device, self.dtype = recipe, how, device, dtype
        self.images, boxes, weights = labelled
        self.boxes, self.weights = torch.from_numpy(boxes).to(device), torch.from_numpy(weights).to(device)
        self.images, self.unlabelled = nearest(self.images, device), nearest(unlabelled, device)
        self.batch_size = min(recipe.batch_size, max(len(boxes), unlabelled.shape[0]))
        self.steps = max(len(boxes), unlabelled.shape[0]) // self.batch_size

    def losses(self, epoch: int) -> Iterator[Tensor]:
        """The loss of each step of an epoch."""
        random = torch.Generator().manual_seed(epoch_seed(self.recipe.seed, epoch))
        shape, channels = (self.steps, self.batch_size), self.images.shape[3]
        turns, more = (repeated_turns(n, shape, random) for n in (len(self.boxes), self.unlabelled.shape[0]))
        change, strong = (
            changes(turns.numel(), channels, how, random).view(*shape, -1).to(self.device) for how in (self.recipe.augmentation, STRONG)
        )
        mirrors = (torch.rand(*shape, 2, generator=random) < 0.5).to(self.device)
        lot = torch.rand(shape, generator=random).to(self.device)  # for `random`
        if self.branch and epoch % self.how.renew == 0:
            self.branch.renew()
        batches = zip(fed(self.images, turns, self.device), fed(self.unlabelled, more, self.device), turns.to(self.device))
        for i, (batch, others, chosen) in enumerate(batches):
            ramp = self.how.weight * ramped((epoch * self.steps + i) / max(self.recipe.epochs * self.steps, 1))
            yield self.loss(batch, chosen, change[i], mirrored(others, mirrors[i]), strong[i], lot[i], ramp)
            self.teacher.update_parameters(self.model)

    def loss(self, batch: Tensor, chosen: Tensor, change: Tensor, weak: Tensor, strong: Tensor, lot: Tensor, ramp: float) -> Tensor:
        """The loss of one step: labelled images by index, unlabelled ones in their weak view, and how both are changed."""
        x, y = augmented(batch, self.boxes[chosen], change, self.model.gain, self.model.bias)
        if self.how.use == "none":
            return (self.box_loss(self.net, x, y) * self.weights[chosen]).mean()
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            self.evaluated.eval()
            pseudo = self.evaluated(weak).float()  # [B, 4]
        seen, pseudo = augmented(weak, pseudo, strong, self.model.gain, self.model.bias)
        if self.how.use == "consistency":
            labelled = (self.box_loss(self.net, x, y) * self.weights[chosen]).mean()
            return labelled + ramp * self.box_loss(self.branch, seen, pseudo).mean()
        both = self.box_loss(self.net, torch.cat([x, seen]), torch.cat([y, pseudo]))
        labelled, own = both[: len(x)], both[len(x) :]
        return (labelled * self.weights[chosen]).mean() + ramp * (own * self.trust(seen, pseudo, own.detach(), lot)).mean()

    def trust(self, seen: Tensor, pseudo: Tensor, own: Tensor, lot: Tensor) -> Tensor:
        """The weight of each pseudo-box [B], mean 1: by its rank in the batch."""
        if self.how.use == "teacher":
            return torch.ones_like(own)
        match self.how.by:
            case "random":
                doubt = lot
            case "loss":
                doubt = own
            case _:
                with torch.no_grad():
                    doubt = self.doubt(seen, pseudo)
        boost = -1.0 if self.how.use == "suppress" else self.how.boost
        return torch.from_numpy(top_weights(doubt.cpu().numpy(), self.how.top, boost)).to(own)

    def doubt(self, seen: Tensor, pseudo: Tensor) -> Tensor:
        """How far the pruned branch is from the teacher, by the column asked for: [B], higher = farther."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            answer = boxes_of(self.branch(seen)).clamp(0, 1)
        if self.how.by == "pruned_shift":
            return (answer - pseudo).abs().mean(1)
        if self.how.by == "pruned_loss":
            return box_loss(answer, pseudo)
        return 1 - overlaps(answer, pseudo)

    def box_loss(self, net, x: Tensor, y: Tensor) -> Tensor:
        """The box loss of normalised images [B, C, H, W] and boxes [B, 4]: [B]."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            raw = net(x.contiguous(memory_format=torch.channels_last))
        return box_loss(boxes_of(raw), y)

    def state_dict(self) -> dict[str, Tensor]:
        """What it takes to go on after an epoch."""
        return {f"teacher/{name}": tensor for name, tensor in self.teacher.state_dict().items()} | (
            self.branch.state_dict() if self.branch else {}
        )

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Go on from what `memory` said."""
        self.teacher.load_state_dict({name.removeprefix("teacher/"): t for name, t in state_dict.items() if name.startswith("teacher/")})
        if self.branch:
            self.branch.load_state_dict(state_dict)


def ema_update(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
    """Move the teacher towards the student, in place: fast at first, later by a share of 1 - DECAY; what counts is copied."""
    share = max(1 - DECAY, 9 / (10 + int(count)))
    if torch.is_floating_point(averaged[0]):
        torch._foreach_lerp_(averaged, current, share)
    else:
        for mine, theirs in zip(averaged, current):
            mine.copy_(theirs)


def repeated_turns(count: int, shape: tuple[int, int], random: torch.Generator) -> Tensor:
    """Indices below `count` for so many steps of a batch, int64 [steps, B]: each sample as often as any other, up to one."""
    needed = shape[0] * shape[1]
    rounds = [torch.randperm(count, generator=random) for _ in range(-(-needed // count))]
    return torch.cat(rounds)[:needed].view(shape)


def ramped(progress: float) -> float:
    """The weight of unlabelled samples at a share of the training, from near 0 to 1: the ramp of Laine and Aila 2017 (arXiv 1610.02242).

    >>> [round(ramped(share), 3) for share in (0, 0.15, 0.3, 1)]
    [0.007, 0.287, 1.0, 1.0]
    """
    return math.exp(-5 * (1 - min(progress / RAMP, 1)) ** 2)


def mirrored(images: Tensor, mirrors: Tensor) -> Tensor:
    """Images uint8 [B, H, W, C], mirrored along x and y where bool [B, 2] says so."""
    images = torch.where(mirrors[:, :1, None, None], images.flip(2), images)
    return torch.where(mirrors[:, 1:, None, None], images.flip(1), images)
