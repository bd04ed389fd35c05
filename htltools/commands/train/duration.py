"""How long a training takes, and what is said of its epochs."""

from collections.abc import Mapping
from typing import Any

from htltools import console
from htltools.commands.train.plan import Plan
from htltools.core.runtime.batches import number_of_batches
from htltools.core.training.schedule import EPOCHS, Cooling


def with_epochs(plan: Plan, samples: int) -> Plan:
    """The plan with its number of epochs, which is said where it follows from the number of samples.

    Raises: UsageError as `Plan.for_samples`.
    """
    chosen = plan.for_samples(samples)
    if not plan.epochs and chosen.epochs != EPOCHS:
        steps = chosen.epochs * number_of_batches(samples, plan.batch_size) if chosen.epochs else 0
        console.say(f"{chosen.epochs} epochs, as {samples} samples need for {steps} gradient steps; --epochs {EPOCHS} is faster and worse")
    return chosen


def epoch_text(record: Mapping[str, Any], seconds: float) -> str:
    """The record of an epoch in words."""
    values = [f"{name} {record[name]:.4f}" for name in ("val_iou", "loss", "val_loss") if name in record]
    return "  ".join([*values, f"lr {record['lr']:.2g}", f"{seconds:.1f} s"])


def ending_text(end: Cooling, patience: int | None) -> str:
    """How a training goes on whose patience has run out, in words."""
    if not end.epochs:
        return f"--patience {patience} ran out with the last epoch"
    return f"--patience {patience} ran out: the learning rate falls to 0 within {end.epochs} more epochs, which are the last"
