"""The training loop: one function that reads top to bottom, and can resume after any epoch. What it minimises is an objective."""

import copy
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from htltools.core.nets.localizer import Localizer
from htltools.core.runtime import distributed
from htltools.core.runtime.predict import predict_all
from htltools.core.runtime.prefetch import ImageSource, OnDevice, on_device_if_it_fits
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.augmentation import Augmentation
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
    """State to resume a training from after an epoch, as if it had never stopped."""

    epoch: int  # epochs done
    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    best: dict[str, Tensor]  # weights of the best epoch so far
    log: list[dict[str, Any]]
    objective: dict[str, Tensor] = field(default_factory=dict)  # its state_dict


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of all that is random in an epoch, so that a resumed training draws the same as an undisturbed one."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}".encode()).digest()[:6])


class Objective(Protocol):
    """What a training minimises: it turns batches into losses, and the loop does the rest.

    `model` has the weights that the optimizer moves; `evaluated` is the localizer that is validated and whose weights are kept,
    which may be the same. `state_dict` has all that an objective needs to resume after an epoch, beside the weights of `model`.
    """

    @property
    def model(self) -> Localizer: ...

    @property
    def evaluated(self) -> Localizer: ...

    steps: int  # gradient steps in an epoch

    def losses(self, epoch: int) -> Iterator[Tensor]:
        """The loss of each step of an epoch (from 0), []; the loop takes the step before it asks for the next one."""

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None: ...


def trained(
    objective: Objective,
    validation: tuple[ImageSource, np.ndarray] | None,  # images, and the targets of the model's task
    recipe: Recipe,
    runtime: Runtime,
    *,
    resume: State | None = None,
) -> Iterator[State]:
    """Train the objective's model in place and yield the state after each epoch.

    The best epoch is that of the highest mean validation IoU, the last one where there is no validation set. All that is
    random follows from the seed and the epoch. Processes that share the job (see `distributed`) take a part of every batch each.

    Raises: HtlError where the loss is no longer finite; UsageError as `with_batch_norm_explained`; whatever the objective raises.
    """
    model, device = objective.model, runtime.device
    optimizer, scheduled_rate = optimizer_for(model, recipe, objective.steps)
    state = State(0, {}, {}, {}, [])
    if resume:
        state = resume
        model.load_state_dict(state.weights)
        optimizer.load_state_dict(state.optimizer)
        objective.load_state_dict(state.objective)
        for parameter, moments in optimizer.state.items():  # the fused step walks memory: moments must lie as their weights do
            moments |= {name: torch.empty_like(parameter).copy_(m) for name, m in moments.items() if m.shape == parameter.shape}
    held_out = (on_device_if_it_fits(validation[0], device), validation[1]) if validation else None
    for epoch in range(state.epoch, recipe.epochs):
        torch.manual_seed(epoch_seed(recipe.seed, epoch) + distributed.process_rank())
        model.train()
        total = torch.zeros((), device=device)
        for i, loss in enumerate(with_batch_norm_explained(objective.losses(epoch))):
            for group in optimizer.param_groups:
                group["lr"] = scheduled_rate(epoch * objective.steps + i)
            optimizer.zero_grad()
            (loss * distributed.world_size()).backward()  # gradients are averaged over processes, not summed
            optimizer.step()
            total += loss.detach()
        record = {"epoch": epoch + 1, "loss": round(distributed.summed(total).item() / objective.steps, 6)}
        if not math.isfinite(record["loss"]):
            raise HtlError(f"the training diverged in epoch {epoch + 1}: the loss is {record['loss']}", "try a lower learning rate")
        evaluated = objective.evaluated
        if held_out:
            record["val_iou"] = round(mean_iou(evaluated, *held_out, runtime.at(recipe.batch_size)), 6)
        better = not held_out or not state.log or record["val_iou"] > max(entry["val_iou"] for entry in state.log)
        now = copied(model.state_dict())
        kept = now if evaluated is model else copied(evaluated.state_dict())
        best = kept if better else state.best
        state = State(epoch + 1, now, copy.deepcopy(optimizer.state_dict()), best, [*state.log, record], copied(objective.state_dict()))
        yield state


def with_batch_norm_explained(losses: Iterator[Tensor]) -> Iterator[Tensor]:
    """The losses of an epoch.

    Raises: UsageError where a batch has one image, and the net has one place left of it: batch norm has no variance there.
    """
    try:
        yield from losses
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        cause = "batch norm has nothing to compare in a batch of one image, of which the net leaves one place"
        raise UsageError(cause, "use --batch-size 2 or more, and at least two rows, or prepare with a larger --size") from None


def optimizer_for(model: nn.Module, recipe: Recipe, steps_per_epoch: int) -> tuple[torch.optim.Optimizer, Callable[[int], float]]:
    """AdamW, and the learning rate as a function of the step.

    The rate is torch's own one-cycle or cosine schedule, computed once: a function of the step alone needs no state to resume.
    """
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate, fused=True)
    return optimizer, rates(recipe, recipe.epochs * steps_per_epoch).__getitem__


def rates(recipe: Recipe, steps: int) -> list[float]:
    """The learning rate of each step."""
    schedule: torch.optim.lr_scheduler.LRScheduler
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


def mean_iou(model: Localizer, images: ImageSource | OnDevice, targets: np.ndarray, runtime: Runtime) -> float:
    """Mean overlap of the model's predictions and the targets of its task, boxes [N, 4] or others, in [0, 1]."""
    validator = model.validator
    predictions = predict_all([validator], images, runtime.at(max(runtime.batch_size, 64)))[0]
    return float(validator.overlap(predictions, targets).mean())


def copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors on the CPU, which later steps do not change."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()}
