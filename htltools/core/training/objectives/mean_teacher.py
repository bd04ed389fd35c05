"""Semi-supervision: some samples have a box; on the others a student learns the predictions of a mean teacher."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from htltools.core.geometry.box_loss import box_iou, box_loss
from htltools.core.geometry.warping import warp_boxes
from htltools.core.nets.localizer import Localizer
from htltools.core.runtime import distributed
from htltools.core.runtime.batches import number_of_batches
from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.prefetch import OnDevice, load_batches, on_device_if_it_fits
from htltools.core.runtime.runtime import Runtime
from htltools.core.sampling.sample_weights import top_weights
from htltools.core.training.augmentation import Augmentation, changed_images, draw_changes
from htltools.core.training.enlarging import Crops, cut_first, draw_crops
from htltools.core.training.loop import epoch_seed
from htltools.core.training.objectives.pruned_branch import PrunedBranch
from htltools.core.training.schedule import Recipe
from htltools.core.training.validation import losses_and_mean_iou
from htltools.errors import UsageError

DECAY = 0.99  # of the teacher's weights
STRONG = Augmentation(shift=0.15, scale=0.3, stretch=0.15, light=0.4, colour=0.2)
RAMP = 0.3  # of the steps, over which the unlabelled samples gain their weight


@dataclass(frozen=True)
class PseudoLabels:
    """How unlabelled samples are used. `by`: what pseudo-boxes are judged by; `loss` and `random` are the controls that do not prune.

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
    looks: bool = False  # whether teacher and student look again, and the student is trained for it by enlarged crops

    @property
    def prunes(self) -> bool:
        """Whether a pruned branch is needed."""
        judged = self.by in ("pruned_disagreement", "pruned_shift", "pruned_loss")
        return self.use == "consistency" or (self.use in ("attend", "suppress") and judged)


class View(NamedTuple):
    """Images uint8 [B, H, W, C], their boxes [B, 4], how they are augmented [B, 5 + C], and how they may be cut first [B, DRAWS]."""

    images: Tensor
    boxes: Tensor
    change: Tensor
    crops: Tensor


class MeanTeacher:
    """The objective of L labelled and U unlabelled samples; each step takes a batch of both.

    The teacher is the moving average of the student, and what is kept. It predicts a box on a mirror image at most (weak view); the
    student sees the same image much changed (strong view), and learns the box, changed likewise. A pruned branch of the student
    predicts on the strong view as well: where it is far from the teacher (`pruned_disagreement`), the pseudo-box hangs on small weights.
    Each sample of the larger of the two sets comes once an epoch, whatever the use, so that uses compare.

    Reference: Tarvainen and Valpola, "Mean teachers are better role models", NeurIPS 2017 (arXiv 1703.01780); Sohn et al., "FixMatch",
    NeurIPS 2020 (arXiv 2001.07685), for weak and strong views. Deviations: boxes have no class confidence to gate by;
    pruned_disagreement and its controls take that place, by rank in each batch.

    Raises: UsageError in several processes; whatever torch.compile raises.
    """

    def __init__(
        self,
        model: Localizer,
        labelled: tuple[ImageSource, np.ndarray, np.ndarray],  # images, boxes float [L, 4], weights float32 [L]
        unlabelled: ImageSource,  # U images
        recipe: Recipe,
        pseudo: PseudoLabels,
        runtime: Runtime,
        *,
        compiled: bool = False,
    ):
        if distributed.is_active():
            raise UsageError("a mean teacher trains in one process", "start only one")
        device = runtime.device
        self.recipe, self.pseudo, self.runtime = recipe, pseudo, runtime
        self.model = model.to(device).to(memory_format=torch.channels_last)
        self.teacher = AveragedModel(model, multi_avg_fn=ema_update, use_buffers=True).requires_grad_(False)
        self.evaluated = cast(Localizer, self.teacher.module)
        self.net = torch.compile(model.net) if compiled else model.net
        self.branch = PrunedBranch(model, pseudo.sparsity) if pseudo.prunes else None
        images, boxes, weights = labelled
        self.boxes, self.weights = torch.from_numpy(boxes).float().to(device), torch.from_numpy(weights).to(device)
        self.images, self.unlabelled = on_device_if_it_fits(images, device), on_device_if_it_fits(unlabelled, device)
        self.crops = Crops() if pseudo.looks else Crops(0.0)
        self.larger = max(len(boxes), unlabelled.shape[0])
        self.steps = number_of_batches(self.larger, recipe.batch_size, min(recipe.batch_size, 2))

    def losses(self, epoch: int) -> Iterator[Tensor]:
        """The loss of each step of an epoch, []."""
        device = self.runtime.device
        random = torch.Generator().manual_seed(epoch_seed(self.recipe.seed, epoch))
        counts = len(self.boxes), self.unlabelled.shape[0]
        chosen, others = (repeated_order(count, self.larger, random).tensor_split(self.steps) for count in counts)
        change, strong = (
            draw_changes(self.larger, self.images.shape[3], augmentation, random).to(device).tensor_split(self.steps)
            for augmentation in (self.recipe.augmentation, STRONG)
        )
        crops = [draw_crops(self.larger, self.crops, random).to(device).tensor_split(self.steps) for _ in range(2)]
        mirrors = (torch.rand(self.larger, 2, generator=random) < 0.5).to(device).tensor_split(self.steps)
        ranks = torch.rand(self.larger, generator=random).to(device).tensor_split(self.steps)  # that `random` judges by
        if self.branch and epoch % self.pseudo.renew == 0:
            self.branch.renew()
        batches = zip(load_batches(self.images, chosen, device), load_batches(self.unlabelled, others, device))
        for i, (batch, unlabelled) in enumerate(batches):
            ramp = self.pseudo.weight * ramp_weight((epoch * self.steps + i) / max(self.recipe.epochs * self.steps, 1))
            labelled = View(batch, self.boxes[chosen[i].to(device)], change[i], crops[0][i])
            weak = mirror_images(unlabelled, mirrors[i])
            yield self.loss(labelled, self.weights[chosen[i].to(device)], weak, strong[i], crops[1][i], ranks[i], ramp)
            self.teacher.update_parameters(self.model)

    def loss(self, labelled: View, weights: Tensor, weak: Tensor, strong: Tensor, crops: Tensor, ranks: Tensor, ramp: float) -> Tensor:
        """The loss of one step: labelled images and their weights, unlabelled ones in their weak view, and how these are changed."""
        x, y, _ = self.seen(labelled)
        if self.pseudo.use == "none":
            return (self.losses_of(self.net, x, y) * weights).mean()
        with torch.no_grad(), self.runtime.autocast():
            self.evaluated.eval()
            boxes = self.evaluated(weak).float()  # [B, 4]
        seen, targets, boxes = self.seen(View(weak, boxes, strong, crops))
        if self.branch and self.pseudo.use == "consistency":
            return (self.losses_of(self.net, x, y) * weights).mean() + ramp * self.losses_of(self.branch, seen, targets).mean()
        both = self.losses_of(self.net, torch.cat([x, seen]), torch.cat([y, targets]))
        losses, own = both[: len(x)], both[len(x) :]
        shares = self.pseudo_label_weights(seen, boxes, own.detach(), ranks)
        return (losses * weights).mean() + ramp * (own * shares).mean()

    def seen(self, view: View) -> tuple[Tensor, Tensor, Tensor]:
        """What a net sees of images, float32 [B, C, h, w], what it should say of it, and their boxes [B, 4] there."""
        change = cut_first(view.change, view.boxes, view.crops, self.crops.share)
        size = self.model.input_size(view.images.permute(0, 3, 1, 2))
        x = changed_images(view.images, change, self.model.gain, self.model.bias, size)
        factor, offset = change[:, :2], change[:, 2:4]
        return x, self.model.training_targets(view.boxes, factor, offset, size), warp_boxes(view.boxes, factor, offset)

    def pseudo_label_weights(self, seen: Tensor, boxes: Tensor, own: Tensor, ranks: Tensor) -> Tensor:
        """The weight of each pseudo-box [B], mean 1, by its rank in the batch. `own`: losses of the student; `ranks`: random numbers."""
        if self.pseudo.use == "teacher":
            return torch.ones_like(own)
        match self.pseudo.by:
            case "random":
                values = ranks
            case "loss":
                values = own
            case _:
                with torch.no_grad():
                    values = self.pseudo_label_disagreement(seen, boxes)
        boost = -1.0 if self.pseudo.use == "suppress" else self.pseudo.boost
        return torch.from_numpy(top_weights(values.cpu().numpy(), self.pseudo.top, boost)).to(own)

    def pseudo_label_disagreement(self, seen: Tensor, boxes: Tensor) -> Tensor:
        """How far the pruned branch is from the pseudo-boxes [B, 4], by the column asked for: [B], higher = farther."""
        assert self.branch
        with self.runtime.autocast():
            predicted = self.model.decoded(self.branch(seen)).clamp(0, 1)
        if self.pseudo.by == "pruned_shift":
            return (predicted - boxes).abs().mean(1)
        if self.pseudo.by == "pruned_loss":
            return box_loss(predicted, boxes)
        return 1 - box_iou(predicted, boxes)

    def losses_of(self, net: Callable[[Tensor], Tensor], x: Tensor, targets: Tensor) -> Tensor:
        """The localizer's loss of normalised images [B, C, h, w]: [B]."""
        with self.runtime.autocast():
            raw = net(x.contiguous(memory_format=torch.channels_last))
        return self.model.training_loss(raw, targets)

    def validated(self, images: ImageSource | OnDevice, targets: np.ndarray) -> tuple[np.ndarray | None, float]:
        return losses_and_mean_iou(self.evaluated, images, targets, self.runtime.at(self.recipe.batch_size))

    def state_dict(self) -> dict[str, Tensor]:
        """State to resume from, beside that of the student."""
        return {f"teacher/{name}": tensor for name, tensor in self.teacher.state_dict().items()} | (
            self.branch.state_dict() if self.branch else {}
        )

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        self.teacher.load_state_dict({name.removeprefix("teacher/"): t for name, t in state_dict.items() if name.startswith("teacher/")})
        if self.branch:
            self.branch.load_state_dict(state_dict)


def ema_update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
    """Move the teacher towards the student, in place: fast at first, later by a share of 1 - DECAY; what counts is copied."""
    share = max(1 - DECAY, 9 / (10 + int(count)))
    if torch.is_floating_point(averaged[0]):
        torch._foreach_lerp_(list(averaged), list(current), share)
    else:
        for old, new in zip(averaged, current):
            old.copy_(new)


def repeated_order(count: int, length: int, random: torch.Generator) -> Tensor:
    """Indices below `count` in random order, int64 [length]: each as often as any other, up to one."""
    return torch.cat([torch.randperm(count, generator=random) for _ in range(-(-length // count))])[:length]


def ramp_weight(progress: float) -> float:
    """The weight of unlabelled samples at a share of the training, from near 0 to 1: the ramp of Laine and Aila 2017 (arXiv 1610.02242).

    >>> [round(ramp_weight(share), 3) for share in (0, 0.15, 0.3, 1)]
    [0.007, 0.287, 1.0, 1.0]
    """
    return math.exp(-5 * (1 - min(progress / RAMP, 1)) ** 2)


def mirror_images(images: Tensor, mirrors: Tensor) -> Tensor:
    """Images uint8 [B, H, W, C], mirrored along x and y where bool [B, 2] says so."""
    images = torch.where(mirrors[:, :1, None, None], images.flip(2), images)
    return torch.where(mirrors[:, 1:, None, None], images.flip(1), images)
