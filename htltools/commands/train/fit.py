"""`train` between its rows and its checkpoint."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from htltools import console
from htltools.commands.shared.folds import exclude_fold
from htltools.commands.shared.hardness import rounded_scores
from htltools.commands.shared.models import explain_looks, explain_runtime, warn_if_constant
from htltools.commands.train.initial_weights import load_state_dict
from htltools.commands.train.plan import Plan
from htltools.commands.train.resume import load_state, resume_hint, save_state, training_identity
from htltools.core.hardness.training_dynamics import dynamics
from htltools.core.nets.factory import architecture, build
from htltools.core.nets.localizer import NORMALISATION, Localizer
from htltools.core.nets.state_arrays import weights_of
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.augmentation import Augmentation
from htltools.core.training.choose_looks import choose_looks
from htltools.core.training.loop import Recipe, trained
from htltools.errors import DataError, UsageError
from htltools.formats.files.atomic import is_pipe_or_device, refuse_existing, remove_leftovers
from htltools.formats.files.lock import exclusive
from htltools.formats.models.checkpoint import Checkpoint, is_result_of
from htltools.formats.models.torch_weights import is_torch_weights
from htltools.formats.rows.jsonlines import joined_lines
from htltools.formats.rows.provenance import Run, file_digest
from htltools.formats.rows.row import Row
from htltools.formats.rows.stream import RowWriter, check_groups
from htltools.formats.sources.open_rows import read_rows
from htltools.formats.store.shard import Images
from htltools.processes import first_process
from htltools.tasks.predictor import CheckpointPredictor
from htltools.tasks.rows import in_order, matching_images, of_split
from htltools.tasks.task import Data, Extras


def train_rows(
    run: Run,
    source: Path | None,
    plan: Plan,
    device: str,
    precision: str,
    *,
    compiled: bool,
    resume: bool,
    limit: int | None,
    partial: bool,
    force: bool,
) -> None:
    """Train on the rows of a source, write the checkpoint, and the rows again. Of several processes only the first writes."""

    def refuse_another() -> None:
        refuse_existing(plan.out, force or resume and is_result_of(plan.out, plan.resume_path))

    if is_pipe_or_device(plan.out):
        raise UsageError(f"-o {plan.out} is no file, and a training keeps its state beside it", "name a file, and copy that")
    refuse_another()
    samples, reader = read_rows(source, partial=partial, limit=limit)
    check_groups(samples)
    runtime = Runtime(device, str(precision), plan.batch_size, plan.seed, plan.trusted)
    explain_runtime(runtime)
    inputs = input_digests(samples, plan.init)
    resolved = {"device": str(runtime.device), "precision": str(runtime.dtype).removeprefix("torch."), "rate": plan.rate}
    history = run.chain(reader.history, inputs, **resolved)
    if not first_process():
        train_localizer(samples, plan, runtime, compiled=compiled, resume=resume, history=history)
        return
    with exclusive(plan.lock_path, plan.out):
        refuse_another()  # one that was written meanwhile
        remove_leftovers(plan.out, plan.resume_path, plan.log_path)
        checkpoint = train_localizer(samples, plan, runtime, compiled=compiled, resume=resume, history=history)
        reached = "".join(f", {name} {value:.4f}" for name, value in checkpoint.metrics.items() if name.endswith("val_iou"))
        console.say(f"{plan.out}: epoch {checkpoint.metrics['epoch']} of {plan.epochs}{reached}")
        with RowWriter(run, history, skipped=reader.skipped) as writer:
            writer.models(reader.models | {"dense": str(plan.out.absolute())})
            writer.write(samples)
        plan.resume_path.unlink(missing_ok=True)  # only now: until its rows are out, the same command goes on


def train_localizer(
    samples: list[Row], plan: Plan, runtime: Runtime, *, compiled: bool, resume: bool, history: list[dict[str, Any]]
) -> Checkpoint:
    """Train on the training split of the samples and write the checkpoint, which is returned.

    Rows whose training dynamics are recorded get, in place, the columns of hardness that follow from them.
    """
    plan = plan.for_rows(samples)
    task, frame, rows, held_out_rows = plan.task, *training_rows(samples, plan)
    others = unlabelled_rows(samples, plan) if plan.pseudo_labels else []
    model, architecture = fresh_localizer(plan, frame, task.net_options(rows))
    classes = architecture.get("classes") or []
    training = task.training_data(rows, classes, frame, plan.out)
    validation = task.validation_data(held_out_rows, classes, frame, plan.out) if held_out_rows else None
    weights = sample_weights(rows)
    identity = training_identity(plan, architecture, rows + others, weights)
    state = load_state(plan, identity) if resume else None
    if state:
        console.say(f"going on after epoch {state.epoch} of {plan.resume_path}")
    recipe = Recipe(
        plan.epochs, plan.batch_size, plan.rate, schedule=plan.scheduler, seed=plan.seed, augmentation=Augmentation(flip=plan.flip)
    )
    unlabelled = matching_images(others, frame, plan.out) if others else None
    extras = Extras(plan.attention, plan.pseudo_labels, unlabelled, compiled)
    objective = task.objective(model, training, weights, validation, recipe, runtime, extras)
    held_out = (validation.images, validation.targets) if validation else None
    with console.progress(f"training on {counts_text(rows, others)}", plan.epochs) as steps, resume_hint(plan):
        steps.advance(state.epoch if state else 0)
        for reached in trained(objective, held_out, recipe, runtime, resume=state):
            state = reached
            if first_process():
                save_state(plan, identity, state)
            last = state.log[-1]
            steps.advance(note="  ".join(f"{name} {last[name]:.4f}" for name in ("loss", "val_iou") if name in last))
    assert state is not None
    add_training_dynamics(rows, objective)
    model.load_state_dict(state.best)
    model.to(runtime.device).eval()
    best: dict[str, Any] = max(state.log, key=lambda entry: entry.get("val_iou", entry["epoch"]))
    metrics = dict(best)
    if plan.looks_again:
        metrics |= chosen_looks(plan, model, validation, runtime)
        architecture["looks"] = asdict(model.looks)
    if validation and (baseline := task.constant_baseline(training, validation)):
        metrics["constant_val_iou"] = round(baseline[1], 6)
        warn_if_constant(metrics["val_iou"], metrics["constant_val_iou"], baseline[0])
    checkpoint = Checkpoint(weights_of(model), architecture, {"size": frame, **NORMALISATION}, metrics, None, state.log, history)
    checkpoint.fold, checkpoint.training = (asdict(plan.fold) if plan.fold else None), {"flip": list(plan.flip), "looks": plan.sees_crops}
    if first_process():
        checkpoint.save(plan.out)
    return checkpoint


def chosen_looks(plan: Plan, model: Localizer, validation: Data | None, runtime: Runtime) -> dict[str, float]:
    """Metrics of the looks that are best on validation rows, to which the model is set, in place."""
    if validation is None:
        console.say(f"it looks {model.looks.count} times, as in training: no row of split val says what is best")
        return {}
    tried = choose_looks(model, validation.images, validation.targets, runtime, plan.looks, plan.window)
    return explain_looks(model.looks, tried)


def training_rows(samples: list[Row], plan: Plan) -> tuple[list[int], list[Row], list[Row]]:
    """The stored frame [H, W, C], the rows to learn from, and those to validate on; what is left out is said.

    Raises: DataError where no row can be learned from.
    """
    training, validation = plan.task.training_rows(samples, semi=bool(plan.pseudo_labels)), plan.task.validation_rows(samples)
    rows = exclude_fold(training.rows, plan.fold)
    for note in training.notes + validation.notes:
        console.say(note)
    if not validation.rows:
        console.say("no annotated row of split val: the last epoch is kept, not the best")
    return list(Images(rows[:1]).shape[1:]), rows, validation.rows


def add_training_dynamics(rows: list[Row], objective: Any) -> None:
    """Add, in place, the columns of hardness that follow from the record of an objective, where it keeps one."""
    record = getattr(objective, "record", None)
    if record is None:
        return
    columns = dynamics(record.iou.numpy(), record.margin.numpy())
    for i, row in enumerate(rows):
        row["hardness"] = row.hardness | rounded_scores(columns, i)


def unlabelled_rows(samples: list[Row], plan: Plan) -> list[Row]:
    """The rows of the training split without `boxes`; an empty list of boxes says that there is none to find, which is a label.

    Raises: DataError where every one is annotated.
    """
    rows = exclude_fold([row for row in of_split(samples, "train") if not row.is_known], plan.fold)
    if not rows:
        raise DataError("no row of split train lacks boxes", "--supervision semi needs some; prepare --labelled or --keep-unlabelled")
    return rows


def counts_text(training: list[Row], others: list[Row]) -> str:
    """How many rows a training learns from, in words."""
    return f"{len(training)} and {len(others)} without boxes" if others else str(len(training))


def sample_weights(rows: list[Row]) -> np.ndarray:
    """The weight of each row in the loss: float32 [N], 1 where a row has none.

    Raises: DataError where all are zero.
    """
    weights = np.array([row.weight for row in rows], np.float32)
    if not weights.any():
        raise DataError("all weights are zero: nothing to learn from")
    return weights


def fresh_localizer(plan: Plan, frame: list[int], net_options: dict[str, Any]) -> tuple[Localizer, dict[str, Any]]:
    """The model to start from, and its architecture; `net_options` follow from the rows.

    Raises: DataError where --init names a checkpoint of another net, frame, task or other classes, or weights of another net.
    """
    torch.manual_seed(plan.seed)
    more: dict[str, Any] = {"looks": asdict(plan.looks_while_training)} if plan.looks_again else {}
    more |= {"input": [plan.input] * 2} if plan.input else {}
    wanted = architecture(plan.arch, frame, plan.task_name, **net_options, **more)
    if plan.init in ("none", "imagenet") or is_torch_weights(Path(plan.init)):
        model = build(wanted, imagenet=plan.init == "imagenet", trusted=plan.trusted)
        if plan.init not in ("none", "imagenet"):
            load_state_dict(model.net, Path(plan.init))
        return model, wanted
    start = CheckpointPredictor(Path(plan.init), Runtime("cpu", trusted=plan.trusted))
    console.explain(str(start))
    if pruning := start.checkpoint.pruning:
        cause = f"--init {plan.init} is pruned: training moves all weights, also the {pruning['sparsity']:.0%} that were cut"
        console.say(f"{cause}; its copy is dense again")
    found = start.checkpoint.architecture
    if (found["name"], found["size"], found.get("input")) != (plan.arch, frame, wanted.get("input")):
        words = f"--init {plan.init} is a {found['name']} for {found['size']}, wanted is {plan.arch} for {frame}"
        raise DataError(words, "name its --arch, prepare with its --size")
    if (found["task"], found.get("classes")) != (plan.task_name, net_options.get("classes")):
        kinds = " and wanted is one ".join(f"of the task {each['task']}{classes_text(each)}" for each in (found, wanted))
        raise DataError(f"--init {plan.init} is a model {kinds}", "start from one of the same --supervision")
    if plan.fold and start.checkpoint.fold != asdict(plan.fold):
        console.say(f"--init {plan.init} may have seen fold {plan.fold}: then no score of this model is out of sample")
    start.localizer.looks = plan.looks_while_training
    return start.localizer, {name: value for name, value in found.items() if name != "looks"} | more


def classes_text(architecture: dict[str, Any]) -> str:
    """The classes of an architecture, in words."""
    return f" with the classes {', '.join(architecture['classes'])}" if architecture.get("classes") else ""


def input_digests(samples: list[Row], init: str) -> dict[str, str]:
    """Digests of what a training depends on, for its history."""
    digests = {"rows": hashlib.sha256(joined_lines(in_order(samples))).hexdigest()}
    return digests | ({init: file_digest(init)} if init not in ("none", "imagenet") else {})
