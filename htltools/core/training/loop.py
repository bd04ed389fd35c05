"""The training loop: one function that reads top to bottom, and can resume after any epoch. What it minimises is an objective."""

import copy
import hashlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from htltools.core.nets.localizer import Localizer
from htltools.core.runtime import distributed
from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.prefetch import OnDevice, on_device_if_it_fits
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.schedule import Recipe, Schedule, cooling
from htltools.core.training.validation import mean_iou
from htltools.errors import HtlError, UsageError


@dataclass
class State:
    """State to resume a training from after an epoch, as if it had never stopped."""

    epoch: int  # epochs done
    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    best: dict[str, Tensor]  # weights of the best epoch so far
    log: list[dict[str, Any]]
    objective: dict[str, Tensor] = field(default_factory=dict)  # its state_dict
    seconds: list[float] = field(default_factory=list)  # that each epoch took; apart from the log, which is the same each time


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

    def validated(self, images: ImageSource | OnDevice, targets: np.ndarray) -> tuple[np.ndarray | None, float]:
        """Of `evaluated` on validation images as they are: the first look's loss [N], None where targets do not tell; mean IoU."""

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None: ...


def trained(
    objective: Objective,
    validation: tuple[ImageSource, np.ndarray] | None,  # images, and the targets of the model's task
    recipe: Recipe,
    runtime: Runtime,
    *,
    resume: State | None = None,
    measures_loss: bool = False,
) -> Iterator[State]:
    """Train the objective's model in place and yield the state after each epoch.

    Each epoch has a record in the log: its loss, its last learning rate, `val_iou`, and with `measures_loss` `val_loss`. The best epoch
    is that of the highest mean validation IoU, the last one where there is no validation set; `cooling` says when a training ends early.
    All that is random follows from the seed and the epoch. Processes that share the job (see `distributed`) take a part of every batch
    each.

    Raises: HtlError where the loss is no longer finite; UsageError as `with_batch_norm_explained` and `optimizer_for`; whatever the
    objective raises.
    """
    model, device = objective.model, runtime.device
    optimizer, schedule = optimizer_for(model, recipe), Schedule(recipe, objective.steps)
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
        end = cooling(state.log, recipe)
        if end and epoch >= sum(end):
            return
        begun = time.monotonic()
        torch.manual_seed(epoch_seed(recipe.seed, epoch) + distributed.process_rank())
        model.train()
        total = torch.zeros((), device=device)
        for i, loss in enumerate(with_batch_norm_explained(objective.losses(epoch))):
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(epoch * objective.steps + i, end)
            optimizer.zero_grad()
            (loss * distributed.world_size()).backward()  # gradients are averaged over processes, not summed
            optimizer.step()
            total += loss.detach()
        record = {"epoch": epoch + 1, "lr": float(f"{optimizer.param_groups[0]['lr']:.6g}")}  # that of its last step
        record["loss"] = round(distributed.summed(total).item() / objective.steps, 6)
        if not math.isfinite(record["loss"]):
            raise HtlError(f"the training diverged in epoch {epoch + 1}: the loss is {record['loss']}", "try a lower learning rate")
        evaluated = objective.evaluated
        if held_out:
            if measures_loss:
                losses, reached = objective.validated(*held_out)
            else:
                losses, reached = None, mean_iou(evaluated, *held_out, runtime.at(recipe.batch_size))
            record |= {} if losses is None else {"val_loss": round(float(np.nanmean(losses)), 6)}
            record["val_iou"] = round(reached, 6)
        better = not held_out or not state.log or record["val_iou"] > max(entry["val_iou"] for entry in state.log)
        now = copied(model.state_dict())
        kept = now if evaluated is model else copied(evaluated.state_dict())
        best = kept if better else state.best
        memory, seconds = copied(objective.state_dict()), [*state.seconds, round(time.monotonic() - begun, 3)]
        state = State(epoch + 1, now, copy.deepcopy(optimizer.state_dict()), best, [*state.log, record], memory, seconds)
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


def optimizer_for(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW of all that is not frozen; gains and biases do not decay.

    Raises: UsageError where all is frozen.
    """
    moving = [p for p in model.parameters() if p.requires_grad]
    if not moving:
        raise UsageError("all weights are frozen: nothing is left to train", "freeze fewer layers")
    matrices, others = [p for p in moving if p.ndim > 1], [p for p in moving if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.rate, fused=True)


def copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors on the CPU, which later steps do not change."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()}
