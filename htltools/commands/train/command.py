"""`htl train`: rows in, a localizer out."""

import re
from pathlib import Path
from typing import Annotated

from typer import Option

from htltools import console, options
from htltools.errors import UsageError


class Schedule(options.Choice):
    """How the learning rate falls."""

    onecycle, cosine = "onecycle", "cosine"


class Supervision(options.Choice):
    """What the training rows tell."""

    full, semi, weak = "full", "semi", "weak"


class Attend(options.Choice):
    """How a training attends to hard samples."""

    none, adaptive, replay, damaged = "none", "adaptive", "replay", "damaged"


class Mirror(options.Choice):
    """Which mirror images a training may see."""

    both, horizontal, vertical, none = "both", "horizontal", "vertical", "none"


FLIPS = {"both": (0.5, 0.5), "horizontal": (0.5, 0.0), "vertical": (0.0, 0.5), "none": (0.0, 0.0)}


class Use(options.Choice):
    """What unlabelled rows are used for."""

    teacher, attend, suppress, consistency, none = "teacher", "attend", "suppress", "consistency", "none"


class By(options.Choice):
    """The column that attention goes by while a model trains."""

    pruned_loss, pruned_disagreement, pruned_shift, loss, random = "pruned_loss", "pruned_disagreement", "pruned_shift", "loss", "random"


@options.command
def train(
    run,
    rows: options.Rows = None,
    out: Annotated[Path, Option("-o", "--out", metavar="M.h5", help="The checkpoint to write.", show_default=False)] = ...,
    model: Annotated[
        str, Option("--model", help="compact, compact_unet, a torchvision net or detector, or package.module:function.")
    ] = "compact",
    init: Annotated[str, Option("--init", metavar="none|imagenet|FILE", help="Where the weights start.")] = "none",
    epochs: Annotated[int, Option("--epochs", min=1, help="Passes over the training split.")] = 30,
    rate: Annotated[
        float | None, Option("--lr", min=0, help="Highest learning rate; default 0.003 from scratch, 0.0005 otherwise.", show_default=False)
    ] = None,
    schedule: Annotated[Schedule, Option("--schedule", help="How the learning rate falls.")] = Schedule.onecycle,
    supervision: Annotated[
        Supervision, Option("--supervision", help="full: rows with boxes; semi: also rows without; weak: labels.")
    ] = Supervision.full,
    attend: Annotated[Attend, Option("--attend", help="Attention to hard samples while training.")] = Attend.none,
    unlabelled: Annotated[
        Use | None, Option("--unlabelled", help="What --supervision semi makes of rows without boxes; default teacher.", show_default=False)
    ] = None,
    by: Annotated[
        By | None, Option("--by", help="What attention goes by; default pruned_loss, or pruned_disagreement with semi.", show_default=False)
    ] = None,
    top: Annotated[float | None, Option("--top", min=0, max=1, help="Share that counts as hard; default 0.3.", show_default=False)] = None,
    boost: Annotated[float | None, Option("--boost", min=0, help="Extra weight of the hard; default 1.", show_default=False)] = None,
    renew: Annotated[
        int | None, Option("--renew", min=1, help="Epochs between looks at who is hard; default 3.", show_default=False)
    ] = None,
    sparsity: Annotated[
        float | None,
        Option(
            "--sparsity", min=0, max=0.99, help="Share of weights that attention cuts; default 0.8, or 0.4 if damaged.", show_default=False
        ),
    ] = None,
    fold: Annotated[
        str | None, Option("--fold", metavar="k/K", help="Leave out the k-th of K parts of the training split.", show_default=False)
    ] = None,
    mirror: Annotated[Mirror, Option("--mirror", help="Mirror images that training may see; none where left is not right.")] = Mirror.both,
    batch_size: options.BatchSize = 32,
    seed: options.Seed = 0,
    resume: Annotated[bool, Option("--resume/--no-resume", help="Go on where an interrupted training stopped.")] = True,
    device: options.DeviceName = "auto",
    precision: options.PrecisionName = options.Precision.auto,
    compiled: Annotated[bool, Option("--compile/--no-compile", help="Compile the net first; pays in long trainings.")] = False,
    nproc: options.Nproc = 1,
    limit: options.Limit = None,
    partial: options.Partial = False,
    force: options.Force = False,
):
    """Train a localizer on the rows of the training split.

    \b
    htl prepare FOLDER -o store | htl train -o dense.h5 > rows.jsonl
    htl train rows.jsonl -o big.h5 --model resnet18 --init imagenet > /dev/null
    htl train rows.jsonl -o lungs.h5 --model compact_fcos --mirror none > /dev/null    several objects

    The weights of the epoch with the best mean IoU on the validation split are kept. A row's `weight` counts in the loss.
    --attend attends to hard samples while training; --supervision semi also learns from rows without boxes;
    --supervision weak from the field `label` alone.
    An interrupted training leaves M.resume.h5; the same command goes on from there. M.log.jsonl has one line per epoch.
    compact_unet, and torchvision's segmentation nets, learn lesion masks, and answer with a mask and the box around it.
    With --fold, for each k from 1 to K, htl score can judge every training row by a model that has not seen its group.
    Writes the rows again, and a note that names the model.
    """
    options.rows_expected(rows)
    refuse_with_objects(model, supervision, attend)
    part = fold_asked(fold, seed)
    numbers = {"by": by and str(by), "top": top, "boost": boost, "renew": renew, "sparsity": sparsity}
    ways = attention_asked(supervision, attend, unlabelled, {name: value for name, value in numbers.items() if value is not None})
    from htltools.formats.files.atomic import refuse_existing, remove_leftovers
    from htltools.formats.files.lock import alone
    from htltools.formats.models.checkpoint import is_result_of, resume_path
    from htltools.formats.rows.stream import RowWriter, check_groups
    from htltools.formats.sources.open_rows import read_rows

    def refuse_another() -> None:
        refuse_existing(out, force or resume and is_result_of(out, resume_path(out)))

    refuse_another()
    samples, reader = read_rows(rows, partial=partial, limit=limit)
    check_groups(samples)
    from htltools.commands.shared.inputs import chosen_machine
    from htltools.commands.train import fit, resume

    place, dtype = chosen_machine(device, precision)
    if init not in ("none", "imagenet") and not Path(init).exists():
        raise UsageError(f"--init takes none, imagenet or a checkpoint, and {init!r} is no file")
    if rate is None:
        from htltools.core.nets.names import DETECTORS

        rate = 3e-3 if init == "none" and DETECTORS.get(model) is None else 5e-4
    weak, flip = supervision == Supervision.weak, FLIPS[str(mirror)]
    plan = resume.Plan(out, model, init, epochs, batch_size, rate, str(schedule), seed, part, *ways, weak=weak, flip=flip)
    inputs = fit.input_digests(samples, init)
    history = run.chain(reader.history, inputs, device=str(place), precision=str(dtype).removeprefix("torch."), rate=rate)
    how = {"compiled": compiled, "resume": resume, "history": history}
    if not options.first_process():
        fit.train_localizer(samples, plan, place, dtype, **how)
        return
    with alone(plan.lock_path, out):
        refuse_another()  # one that was written meanwhile
        remove_leftovers(out, plan.resume_path, plan.log_path)
        trained = fit.train_localizer(samples, plan, place, dtype, **how)
        reached = "".join(f", {name} {value:.4f}" for name, value in trained.metrics.items() if name.endswith("val_iou"))
        console.say(f"{out}: epoch {trained.metrics['epoch']} of {epochs}{reached}")
        with RowWriter(run, history, skipped=reader.skipped) as writer:
            writer.models(reader.models | {"dense": str(out.absolute())})
            writer.write(samples)
        plan.resume_path.unlink(missing_ok=True)  # only now: until its rows are out, the same command goes on


def refuse_with_objects(model: str, supervision: str, attend: str) -> None:
    """Refuse what nets that find several objects cannot do.

    Raises: UsageError.
    """
    from htltools.core.nets.names import DETECTORS

    if model not in DETECTORS:
        return
    if supervision != Supervision.full:
        raise UsageError(f"{model} finds several objects: --supervision {supervision} is for nets with one box", "use --supervision full")
    if attend != Attend.none:
        raise UsageError(f"{model} finds several objects: --attend is for nets with one box", "attend by weights: htl score | htl resample")


def attention_asked(supervision: str, attend: str, unlabelled: str | None, numbers: dict):
    """The attention that the flags come to: a `core.attending.Attending` and, with semi, a `core.semisupervised.Unlabelled`; None for none.

    Raises: UsageError for flags that have no effect together.
    """
    semi = supervision == Supervision.semi
    if supervision != Supervision.full and attend != Attend.none:
        advice = "semi attends by --unlabelled" if semi else "weak attends by resample --pseudo"
        raise UsageError("--attend goes with --supervision full", advice)
    if unlabelled and not semi:
        raise UsageError("--unlabelled needs --supervision semi")
    judged = (unlabelled or Use.teacher) in (Use.attend, Use.suppress) if semi else attend != Attend.none
    useless = [name for name in numbers if not judged and not (unlabelled == Use.consistency and name in ("renew", "sparsity"))]
    if useless:
        raise UsageError(f"--{useless[0]} has no effect here", "it needs --attend, or --unlabelled attend or suppress")
    if attend == Attend.damaged and numbers.get("by") in (By.pruned_disagreement, By.pruned_shift):
        raise UsageError(f"--attend damaged has no scores to go by {numbers['by']}", "use pruned_loss, or the controls loss and random")
    if semi:
        from htltools.core.training.mean_teacher import Unlabelled

        return None, Unlabelled(str(unlabelled or Use.teacher), **numbers)
    from htltools.core.training.adaptive_weighting import DAMAGE, Attending

    if attend == Attend.damaged:
        numbers = {"sparsity": DAMAGE} | numbers
    return (None if attend == Attend.none else Attending(str(attend), **numbers)), None


def fold_asked(text: str | None, seed: int):
    """The fold that --fold names: a `core.folds.Fold`, or None.

    Raises: UsageError where it is none.
    """
    from htltools.core.hardness.cross_fitting import Fold

    if text is None:
        return None
    numbers = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    k, count = map(int, numbers.groups()) if numbers else (0, 0)
    if not 1 <= k <= count or count < 2:
        raise UsageError(f"--fold takes k/K with 1 <= k <= K and K of 2 or more, such as 1/5, not {text!r}")
    return Fold(k, count, seed)
