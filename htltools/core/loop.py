"""The training loop: one function that reads top to bottom, and can stop and go on after any epoch."""

import copy
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from htltools.core import ranks
from htltools.core.answers import all_answers
from htltools.core.augmentation import Augmentation, augmented, changes
from htltools.core.boxes import iou
from htltools.core.boxloss import box_loss
from htltools.core.feed import OnDevice, PictureSource, fed, nearest
from htltools.core.localizer import Localizer, boxes_of
from htltools.errors import HtlError, UsageError


@dataclass(frozen=True)
class Recipe:
    """The numbers of a training."""

    epochs: int
    batch_size: int = 32
    rate: float = 3e-3  # the highest learning rate
    decay: float = 0.05
    schedule: str = "onecycle"  # or cosine
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass
class State:
    """All that a training needs to go on after an epoch as if it had never stopped."""

    epoch: int  # epochs done
    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    best: dict[str, Tensor]  # weights of the best epoch so far
    log: list[dict[str, Any]]


def epoch_seed(seed: int, epoch: int) -> int:
    """Everything random in an epoch follows from this, so that a resumed training draws what an undisturbed one would."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}".encode()).digest()[:6])


def trained(
    model: Localizer,
    pictures: PictureSource,  # N training samples
    boxes: np.ndarray,  # float32 [N, 4]
    weights: np.ndarray,  # float32 [N], mean 1
    validation: tuple[PictureSource, np.ndarray] | None,
    recipe: Recipe,
    *,
    device: torch.device,
    dtype: torch.dtype,
    compiled: bool = False,  # by torch.compile
    resume: State | None = None,
) -> Iterator[State]:
    """Train the model in place and yield its state after each epoch.

    The best epoch is that of the highest mean validation IoU, the last one where there is no validation set. The last
    incomplete batch of an epoch is left out, unless it is the only one. Random are only the order and the augmentation
    (and dropout, where a backbone has it): all of them follow from the seed and the epoch. Processes that share the job
    (see `ranks`) take a part of every batch each.

    Raises: HtlError where the loss is no longer finite; UsageError for fewer samples in a batch than processes; whatever
    torch.compile raises.
    """
    batch_size, channels = min(recipe.batch_size, len(boxes)), pictures.shape[3]
    steps = len(boxes) // batch_size  # in an epoch
    if batch_size < ranks.count():
        raise UsageError(f"a batch of {batch_size} cannot be shared by {ranks.count()} processes")
    model.to(device, memory_format=torch.channels_last)
    optimizer, scheduled_rate = optimizer_for(model, recipe, steps)
    state = State(0, {}, {}, {}, [])
    if resume:
        state = resume
        model.load_state_dict(state.weights)
        optimizer.load_state_dict(state.optimizer)
        for parameter, moments in optimizer.state.items():  # the fused step walks memory: moments must lie as their weights do
            moments |= {name: torch.empty_like(parameter).copy_(m) for name, m in moments.items() if m.shape == parameter.shape}
    net = ranks.trained_together(model.net, device)
    net = torch.compile(net) if compiled else net
    pictures = nearest(pictures, device)
    validation = (nearest(validation[0], device), validation[1]) if validation else None
    targets, importance = torch.from_numpy(boxes).to(device), torch.from_numpy(weights).to(device)
    for epoch in range(state.epoch, recipe.epochs):
        random = torch.Generator().manual_seed(epoch_seed(recipe.seed, epoch))
        torch.manual_seed(epoch_seed(recipe.seed, epoch) + ranks.rank())
        model.train()
        turns = torch.randperm(len(boxes), generator=random)[: steps * batch_size].view(steps, batch_size).T
        change = changes(steps * batch_size, channels, recipe.augmentation, random).view(batch_size, steps, -1)
        turns = ranks.share(turns).T.contiguous()  # [steps, own part of the batch]
        change = ranks.share(change).transpose(0, 1).to(device)  # [steps, own part, 5 + C]
        total = torch.zeros((), device=device)
        for i, (batch, chosen) in enumerate(zip(fed(pictures, turns, device), turns.to(device))):  # uint8 [B, H, W, C], int64 [B]
            x, y = augmented(batch, targets[chosen], change[i], model.gain, model.bias)
            with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
                raw = net(x.contiguous(memory_format=torch.channels_last))  # [B, 4]
            loss = (box_loss(boxes_of(raw), y) * importance[chosen]).sum() / batch_size
            for group in optimizer.param_groups:
                group["lr"] = scheduled_rate(epoch * steps + i)
            optimizer.zero_grad()
            (loss * ranks.count()).backward()  # gradients are averaged over processes, not summed
            optimizer.step()
            total += loss.detach()
        record = {"epoch": epoch + 1, "loss": round(ranks.summed(total).item() / steps, 6)}
        if not math.isfinite(record["loss"]):
            raise HtlError(f"the training diverged in epoch {epoch + 1}: the loss is {record['loss']}", "try a lower --lr")
        if validation:
            record["val_iou"] = round(mean_iou(model, *validation, batch_size, device=device, dtype=dtype), 6)
        now = copied(model.state_dict())
        better = not validation or not state.log or record["val_iou"] > max(entry["val_iou"] for entry in state.log)
        state = State(epoch + 1, now, copy.deepcopy(optimizer.state_dict()), now if better else state.best, [*state.log, record])
        yield state


def optimizer_for(model: nn.Module, recipe: Recipe, steps_per_epoch: int) -> tuple[torch.optim.Optimizer, Callable[[int], float]]:
    """AdamW, and the learning rate as a function of the step.

    The rate is torch's own one-cycle or cosine schedule, read off once: a schedule that is a function of the step alone
    needs no state of its own to resume.
    """
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate, fused=True)
    return optimizer, rates(recipe, recipe.epochs * steps_per_epoch).__getitem__


def rates(recipe: Recipe, steps: int) -> list[float]:
    """The learning rate of each step."""
    dummy = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=recipe.rate)
    if recipe.schedule == "cosine":
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(dummy, steps)
    else:
        schedule = torch.optim.lr_scheduler.OneCycleLR(dummy, recipe.rate, total_steps=max(steps, 2), pct_start=0.15)
    values = []
    for _ in range(steps):
        values.append(dummy.param_groups[0]["lr"])
        dummy.step()
        schedule.step()
    return values


def mean_iou(
    model: Localizer, pictures: PictureSource | OnDevice, boxes: np.ndarray, batch_size: int, *, device: torch.device, dtype: torch.dtype
) -> float:
    """Mean IoU of the model's answers and the annotated boxes [N, 4], in [0, 1]."""
    return float(iou(all_answers([model], pictures, max(batch_size, 64), device=device, dtype=dtype)[0], boxes).mean())


def copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights that later steps do not change."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()}
