"""From the flags of `train` to a plan, and which of them contradict each other."""

import re
from pathlib import Path
from typing import Any

from htltools.commands.train.plan import Plan
from htltools.core.hardness.cross_fitting import Fold
from htltools.core.nets.factory import predicts_pixels, task_of_net
from htltools.core.nets.names import DEFAULT, DEFAULT_OF_MAPS
from htltools.core.training.adaptive_weighting import DAMAGE, Attention
from htltools.core.training.objectives.mean_teacher import PseudoLabels
from htltools.errors import UsageError
from htltools.formats.models.checkpoint import architecture_of
from htltools.formats.models.torch_weights import is_torch_weights
from htltools.tasks.registry import TASKS

FLIPS = {"both": (0.5, 0.5), "horizontal": (0.5, 0.0), "vertical": (0.0, 0.5), "none": (0.0, 0.0)}  # chance along each axis


def planned(
    out: Path,
    *,
    arch: str | None,
    init: str,
    epochs: int | None,
    batch_size: int,
    rate: float | None,
    decay: float,
    scheduler: str,
    warm_up: float | None,
    patience: int | None,
    freeze: str | None,
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
    shuffle: str,
) -> Plan:
    """The plan that the flags come to.

    Raises: UsageError for flags that have no effect together, or that the task does not support.
    """
    tuning = {name: str(value) if name == "by" else value for name, value in tuning.items() if value is not None}
    semi, attend = supervision == "semi", str(attend) if attend else None
    check_attention(supervision, attend, pseudo_labels, tuning)
    if init not in ("none", "imagenet") and not Path(init).exists():
        raise UsageError(f"--init takes none, imagenet, a checkpoint or weights of torch.save, and {init!r} is no file")
    if freeze and init == "none":
        raise UsageError("--freeze keeps weights that know something, and fresh ones do not", "start with --init imagenet or FILE")
    if semi and str(shuffle) == "shards":
        raise UsageError("--shuffle shards does not go with --supervision semi", "its few labelled images are drawn again and again")
    if patience and attend == "replay":
        raise UsageError("--patience could end a training before --attend replay begins", "leave out one of them")
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
        crops=tuning.get("share"),
        decay=decay,
        warm_up=warm_up,
        patience=patience,
        freeze=freeze,
        shuffle=str(shuffle),
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
