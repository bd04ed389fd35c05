"""The training loop: one function that reads top to bottom, and can stop and go on after any epoch."""

import copy
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from htltools.core.answers import all_answers
from htltools.core.augmentation import Augmentation, augmented
from htltools.core.boxes import iou
from htltools.core.boxloss import box_loss
from htltools.core.localizer import Localizer
from htltools.errors import HtlError


class PictureSource(Protocol):
    """Stored pictures: `shape` (N, H, W, C), and `batch` of them by index, uint8 [B, H, W, C]."""

    shape: tuple[int, ...]

    def batch(self, chosen: np.ndarray) -> np.ndarray: ...


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
    resume: State | None = None,
) -> Iterator[State]:
    """Train the model in place and yield its state after each epoch.

    The best epoch is that of the highest mean validation IoU, the last one where there is no validation set. The last
    incomplete batch of an epoch is left out, unless it is the only one. Random are only the order and the augmentation
    (and dropout, where a backbone has it): all of them follow from the seed and the epoch.

    Raises: HtlError where the loss is no longer finite.
    """
    model.to(device, memory_format=torch.channels_last)
    optimizer, scheduled_rate = optimizer_for(model, recipe, steps_per_epoch := max(len(boxes) // recipe.batch_size, 1))
    state = State(0, {}, {}, {}, [])
    if resume:
        state = resume
        model.load_state_dict(state.weights)
        optimizer.load_state_dict(state.optimizer)
        for parameter, moments in optimizer.state.items():  # the fused step walks memory: moments must lie as their weights do
            moments |= {name: torch.empty_like(parameter).copy_(m) for name, m in moments.items() if m.shape == parameter.shape}
    targets, importance = torch.from_numpy(boxes), torch.from_numpy(weights)
    for epoch in range(state.epoch, recipe.epochs):
        random = torch.Generator().manual_seed(epoch_seed(recipe.seed, epoch))
        torch.manual_seed(epoch_seed(recipe.seed, epoch))
        model.train()
        order = torch.randperm(len(boxes), generator=random)
        total = torch.zeros((), device=device)
        for i in range(steps_per_epoch):
            chosen = order[i * recipe.batch_size : (i + 1) * recipe.batch_size]  # [B]
            batch = torch.from_numpy(pictures.batch(chosen.numpy())).to(device, non_blocking=True)  # uint8 [B, H, W, C]
            x, y = augmented(model.normalised(batch), targets[chosen].to(device), recipe.augmentation, random)
            with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
                predicted = model.boxes(x.contiguous(memory_format=torch.channels_last))  # [B, 4]
            loss = (box_loss(predicted, y) * importance[chosen].to(device)).mean()
            for group in optimizer.param_groups:
                group["lr"] = scheduled_rate(epoch * steps_per_epoch + i)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        record = {"epoch": epoch + 1, "loss": round(total.item() / steps_per_epoch, 6)}
        if not math.isfinite(record["loss"]):
            raise HtlError(f"the training diverged in epoch {epoch + 1}: the loss is {record['loss']}", "try a lower --lr")
        if validation:
            record["val_iou"] = round(mean_iou(model, *validation, recipe.batch_size, device=device, dtype=dtype), 6)
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
    model: Localizer, pictures: PictureSource, boxes: np.ndarray, batch_size: int, *, device: torch.device, dtype: torch.dtype
) -> float:
    """Mean IoU of the model's answers and the annotated boxes [N, 4], in [0, 1]."""
    return float(iou(all_answers([model], pictures, max(batch_size, 64), device=device, dtype=dtype)[0], boxes).mean())


def copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights that later steps do not change."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()}
