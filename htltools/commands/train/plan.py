"""What the user asked of a training, and which options contradict each other."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htltools.core.hardness.cross_fitting import Fold
from htltools.core.nets.factory import task_of_net
from htltools.core.training.adaptive_weighting import DAMAGE, Attention
from htltools.core.training.mean_teacher import PseudoLabels
from htltools.errors import UsageError
from htltools.formats.models.checkpoint import resume_path
from htltools.tasks.registry import TASKS
from htltools.tasks.task import Task

FLIPS = {"both": (0.5, 0.5), "horizontal": (0.5, 0.0), "vertical": (0.0, 0.5), "none": (0.0, 0.0)}  # chance along each axis


@dataclass(frozen=True)
class Plan:
    """What the user asked of a training."""

    out: Path
    arch: str
    init: str
    epochs: int
    batch_size: int
    rate: float
    scheduler: str
    seed: int
    fold: Fold | None
    task_name: str = "box"
    attention: Attention | None = None
    pseudo_labels: PseudoLabels | None = None
    flip: tuple[float, float] = (0.5, 0.5)  # chance of a mirror image along each axis

    @property
    def task(self) -> Task:
        """What is to be predicted."""
        return TASKS[self.task_name]

    @property
    def resume_path(self) -> Path:
        """Where an interrupted training waits."""
        return resume_path(self.out)

    @property
    def lock_path(self) -> Path:
        """What one training at a time holds."""
        return self.out.with_name(f".{self.out.name}.lock")

    @property
    def log_path(self) -> Path:
        """One line of JSON per epoch."""
        return self.out.with_name(f"{self.out.stem}.log.jsonl")


def planned(
    out: Path,
    arch: str,
    init: str,
    epochs: int,
    batch_size: int,
    rate: float | None,
    scheduler: str,
    seed: int,
    fold: Fold | None,
    supervision: str,
    attend: str,
    pseudo_labels: str | None,
    tuning: dict[str, Any],  # of attention, by field of `Attention`; None = not asked for
    flip: str,
) -> Plan:
    """The plan that the flags come to.

    Raises: UsageError for flags that have no effect together, or that the task does not support.
    """
    tuning = {name: str(value) if name == "by" else value for name, value in tuning.items() if value is not None}
    check_attention(supervision, attend, pseudo_labels, tuning)
    task = task_asked(arch, supervision, attend)
    if init not in ("none", "imagenet") and not Path(init).exists():
        raise UsageError(f"--init takes none, imagenet or a checkpoint, and {init!r} is no file")
    attention, pseudo = None, None
    if supervision == "semi":
        pseudo = PseudoLabels(str(pseudo_labels or "teacher"), **tuning)
    elif attend != "none":
        attention = Attention(str(attend), **({"sparsity": DAMAGE} if attend == "damaged" else {}) | tuning)
    rate = TASKS[task].default_rate(arch, init == "none") if rate is None else rate
    return Plan(out, arch, init, epochs, batch_size, rate, str(scheduler), seed, fold, task, attention, pseudo, FLIPS[str(flip)])


def task_asked(arch: str, supervision: str, attend: str) -> str:
    """The task of a net under a supervision.

    Raises: UsageError where the task does not support what is asked.
    """
    task = task_of_net(arch, labels_alone=supervision == "weak")
    if supervision != "full" and supervision not in TASKS[task].supports:
        cause = f"{arch} is a net of the task {task}, which --supervision {supervision} does not train"
        raise UsageError(cause, "use compact or a torchvision backbone for this")
    if attend != "none" and "attend" not in TASKS[task].supports:
        raise UsageError(f"{arch} is a net of the task {task}, which --attend is not for", "attend by weights: htl score | htl resample")
    return task


def check_attention(supervision: str, attend: str, pseudo_labels: str | None, tuning: dict[str, Any]) -> None:
    """Refuse flags of attention that have no effect together.

    Raises: UsageError.
    """
    semi = supervision == "semi"
    if supervision != "full" and attend != "none":
        advice = "semi attends by --pseudo-labels" if semi else "weak attends by resample --pseudo"
        raise UsageError("--attend goes with --supervision full", advice)
    if pseudo_labels and not semi:
        raise UsageError("--pseudo-labels needs --supervision semi")
    attends = pseudo_labels in ("attend", "suppress") if semi else attend != "none"
    useless = [name for name in tuning if not attends and not (pseudo_labels == "consistency" and name in ("renew", "sparsity"))]
    if useless:
        raise UsageError(f"--attend-{useless[0]} has no effect here", "it needs --attend, or --pseudo-labels attend or suppress")
    if attend == "damaged" and tuning.get("by") in ("pruned_disagreement", "pruned_shift"):
        raise UsageError(f"--attend damaged has no scores to go by {tuning['by']}", "use pruned_loss, or the controls loss and random")


def parsed_fold(text: str | None, seed: int) -> Fold | None:
    """The fold that --fold names.

    Raises: UsageError where it is none.
    """
    if text is None:
        return None
    numbers = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    k, count = map(int, numbers.groups()) if numbers else (0, 0)
    if not 1 <= k <= count or count < 2:
        raise UsageError(f"--fold takes k/K with 1 <= k <= K and K of 2 or more, such as 1/5, not {text!r}")
    return Fold(k, count, seed)
