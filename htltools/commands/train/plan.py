"""What the user asked of a training, and which options contradict each other."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from htltools.core.hardness.cross_fitting import Fold
from htltools.core.nets.factory import DEFAULT, DEFAULT_OF_MAPS, predicts_pixels, task_of_net
from htltools.core.nets.looks import Looks
from htltools.core.training.adaptive_weighting import DAMAGE, Attention
from htltools.core.training.mean_teacher import PseudoLabels
from htltools.errors import UsageError
from htltools.formats.models.checkpoint import architecture_of, resume_path
from htltools.formats.models.torch_weights import is_torch_weights
from htltools.formats.rows.row import Row
from htltools.tasks.mask import can_learn_masks
from htltools.tasks.registry import TASKS
from htltools.tasks.task import Task

TYPICAL = Looks(2)  # while it trains
FLIPS = {"both": (0.5, 0.5), "horizontal": (0.5, 0.0), "vertical": (0.0, 0.5), "none": (0.0, 0.0)}  # chance along each axis


@dataclass(frozen=True)
class Plan:
    """What the user asked of a training.

    targets: what to learn from, `boxes`, `masks`, or `auto`: masks where there are some and the net can. looks, window: how the model
    is to look again, None = as is best on validation. input: side of what the net takes, None = the stored image.
    trusted: names of nets of the user's own that may run. crops: share of the images that are cut for looking, None = as is best.
    """

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
    targets: str = "auto"
    looks: int | None = None
    window: float | None = None
    input: int | None = None
    trusted: tuple[str, ...] = ()
    crops: float | None = None

    @property
    def looks_again(self) -> bool:
        """Whether the model learns to look again."""
        return bool(self.attention and self.attention.way == "look") or bool(self.pseudo_labels and self.pseudo_labels.looks)

    @property
    def sees_crops(self) -> bool:
        """Whether enlarged crops are among the images of the training."""
        return self.looks_again and (self.attention is None or self.attention.share > 0)

    @property
    def looks_while_training(self) -> Looks:
        """How the model looks until the best way is chosen."""
        if not self.looks_again:
            return Looks()
        return Looks(self.looks or TYPICAL.count, self.window or TYPICAL.window)

    def for_rows(self, rows: Sequence[Row]) -> "Plan":
        """The plan with the task that these rows ask for.

        Raises: DataError where there is no lesion mask to learn from, and masks are asked for.
        """
        if self.task_name != "box" or not predicts_pixels(self.arch) or self.pseudo_labels:
            return self
        masks = self.targets == "masks" or (self.targets == "auto" and can_learn_masks(rows))
        if not masks:
            return self
        attention = self.attention
        if attention and (attention.way, attention.by) == ("look", "none") and self.crops is None:
            attention = replace(attention, share=0.0)  # crops cost masks more than they gain, see EVIDENCE.md
        return replace(self, task_name="mask", attention=attention)

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
    arch: str | None,
    init: str,
    epochs: int,
    batch_size: int,
    rate: float | None,
    scheduler: str,
    seed: int,
    fold: Fold | None,
    supervision: str,
    attend: str | None,
    pseudo_labels: str | None,
    tuning: dict[str, Any],  # of attention, by field of `Attention`; None = not asked for
    flip: str,
    targets: str,
    looks: int | None,
    window: float | None,
    side: int | None,
) -> Plan:
    """The plan that the flags come to.

    Raises: UsageError for flags that have no effect together, or that the task does not support.
    """
    tuning = {name: str(value) if name == "by" else value for name, value in tuning.items() if value is not None}
    semi, attend = supervision == "semi", str(attend) if attend else None
    check_attention(supervision, attend, pseudo_labels, tuning)
    if init not in ("none", "imagenet") and not Path(init).exists():
        raise UsageError(f"--init takes none, imagenet, a checkpoint or weights of torch.save, and {init!r} is no file")
    trusted = (arch,) if arch else ()  # a net of the user's own that a file names is not
    arch = arch or default_net(init, supervision)
    task = task_asked(arch, supervision, attend)
    check_targets(arch, supervision, task, targets)
    if attend is None:
        attend = "look" if "look" in TASKS[task].supports and supervision != "weak" else "none"
    again = attend == "look"
    if (looks or window) and not again:
        raise UsageError("--looks and --look-window go with --attend look")
    attention, pseudo = None, None
    if semi:
        pseudo = PseudoLabels(str(pseudo_labels or "teacher"), looks=again, **tuning)
    elif attend != "none":
        by_way: dict[str, dict[str, Any]] = {"damaged": {"sparsity": DAMAGE}, "look": {"by": "none"}}
        attention = Attention(attend, **by_way.get(attend, {}) | tuning)
    rate = TASKS[task].default_rate(arch, init == "none") if rate is None else rate
    return Plan(
        out,
        arch,
        init,
        epochs,
        batch_size,
        rate,
        str(scheduler),
        seed,
        fold,
        task,
        attention,
        pseudo,
        FLIPS[str(flip)],
        str(targets),
        looks,
        window,
        side,
        trusted,
        tuning.get("share"),
    )


def default_net(init: str, supervision: str) -> str:
    """The net of a training that names none: that of the checkpoint it starts from, if any.

    Raises: UsageError for weights alone; DataError where the file is no checkpoint.
    """
    if init in ("none", "imagenet"):
        return DEFAULT_OF_MAPS if supervision == "weak" else DEFAULT
    if is_torch_weights(Path(init)):
        raise UsageError(f"--init {init} holds weights without their net", "name it with --arch")
    return architecture_of(Path(init))["name"]


def task_asked(arch: str, supervision: str, attend: str | None) -> str:
    """The task of a net under a supervision; that of one that can learn from masks is `box` until the rows are known.

    Raises: UsageError where the task does not support what is asked.
    """
    task = task_of_net(arch, labels_alone=supervision == "weak")
    if supervision != "full" and supervision not in TASKS[task].supports:
        cause = f"{arch} is a net of the task {task}, which --supervision {supervision} does not train"
        raise UsageError(cause, "use compact or a torchvision backbone for this")
    needed = "look" if attend == "look" else "attend"
    if attend not in (None, "none") and needed not in TASKS[task].supports:
        cause = f"{arch} is a net of the task {task}, which --attend {attend} is not for"
        raise UsageError(cause, "attend by weights: htl score | htl resample")
    return task


def check_targets(arch: str, supervision: str, task: str, targets: str) -> None:
    """Refuse targets that a net cannot learn.

    Raises: UsageError.
    """
    if targets == "masks" and not (supervision == "full" and predicts_pixels(arch)):
        raise UsageError("--targets masks needs --supervision full and a net that predicts them", "use --arch compact_unet")
    if targets == "boxes" and task == "class_map":
        raise UsageError("--supervision weak learns from labels alone", "leave out --targets")


def check_attention(supervision: str, attend: str | None, pseudo_labels: str | None, tuning: dict[str, Any]) -> None:
    """Refuse flags of attention that have no effect together.

    Raises: UsageError.
    """
    semi = supervision == "semi"
    if supervision != "full" and attend not in (None, "none", "look"):
        advice = "semi attends by --pseudo-labels" if semi else "weak attends by resample --pseudo"
        raise UsageError(f"--attend {attend} goes with --supervision full", advice)
    if pseudo_labels and not semi:
        raise UsageError("--pseudo-labels needs --supervision semi")
    attends = pseudo_labels in ("attend", "suppress") if semi else attend not in (None, "none") and supervision != "weak"
    renews = (pseudo_labels == "consistency", supervision == "weak" and attend == "look")
    used = {"renew", "sparsity"} if renews[0] else {"renew"} if renews[1] else set()
    crops = attend == "look" or (attend is None and supervision == "full")
    if "share" in tuning and (semi or not crops):
        raise UsageError("--attend-crops goes with --attend look and --supervision full or weak")
    useless = [name for name in tuning if not attends and name not in used and name != "share"]
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
