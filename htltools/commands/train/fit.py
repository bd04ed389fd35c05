"""`train` between its rows and its checkpoint."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from htltools import console
from htltools.commands.shared.chosen_rows import ChosenRows, read_many_chosen
from htltools.commands.shared.folds import exclude_fold
from htltools.commands.shared.models import explain_looks, explain_runtime, warn_if_constant, warn_if_late, warn_if_sides_are_mirrored
from htltools.commands.train.duration import ending_text, epoch_text, with_epochs
from htltools.commands.train.dynamics import Dynamics, training_dynamics, with_training_dynamics
from htltools.commands.train.initial_model import fresh_localizer
from htltools.commands.train.plan import Plan
from htltools.commands.train.resume import load_state, resume_hint, save_state, training_identity
from htltools.commands.train.shuffling import chosen_shuffle
from htltools.commands.train.tensorboard import require_tensorboard, scalars
from htltools.core.nets.localizer import NORMALISATION, Localizer
from htltools.core.nets.state_arrays import weights_of
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.choose_looks import choose_looks
from htltools.core.training.loop import trained
from htltools.core.training.schedule import cooling
from htltools.errors import DataError, UsageError
from htltools.formats.files.atomic import is_pipe_or_device, refuse_existing, remove_leftovers
from htltools.formats.files.lock import exclusive
from htltools.formats.models.checkpoint import Checkpoint, is_result_of
from htltools.formats.rows.jsonlines import compact_json
from htltools.formats.rows.provenance import Run, file_digest
from htltools.formats.rows.row import Row
from htltools.formats.rows.spooled import rows_where
from htltools.formats.rows.stream import RowWriter, check_groups
from htltools.formats.store.shard import Images
from htltools.processes import first_process
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
    chosen: ChosenRows,
    tensorboard: Path | None,
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
    if tensorboard:
        require_tensorboard()
    samples, reader = read_many_chosen(source, chosen, partial=partial, limit=limit)
    check_groups(samples)
    runtime = Runtime(device, str(precision), plan.batch_size, plan.seed, plan.trusted)
    explain_runtime(runtime)
    inputs = input_digests(samples, plan.init)
    resolved = {"device": str(runtime.device), "precision": str(runtime.dtype).removeprefix("torch."), "rate": plan.rate}

    def train() -> tuple[Checkpoint, Dynamics]:
        def history(epochs: int | None) -> list[dict[str, Any]]:
            return run.chain(reader.history, inputs, **resolved, epochs=epochs)

        return train_localizer(samples, plan, runtime, compiled=compiled, resume=resume, history=history, tensorboard=tensorboard)

    if not first_process():
        train()
        return
    with exclusive(plan.lock_path, plan.out):
        refuse_another()  # one that was written meanwhile
        remove_leftovers(plan.out, plan.resume_path, plan.log_path)
        checkpoint, dynamics = train()
        reached = "".join(f", {name} {value:.4f}" for name, value in checkpoint.metrics.items() if name.endswith("val_iou"))
        threshold = checkpoint.weights.get("threshold") if plan.task.kind == "objects" else None
        counts = "" if threshold is None else f", objects count from a score of {float(threshold):.4g} on"
        console.say(f"{plan.out}: epoch {checkpoint.metrics['epoch']} of {len(checkpoint.log)}{reached}{counts}")
        with RowWriter(run, checkpoint.history, skipped=reader.skipped) as writer:
            writer.models(reader.models | {"dense": str(plan.out.absolute())})
            writer.write(with_training_dynamics(samples, *dynamics))
        plan.resume_path.unlink(missing_ok=True)  # only now: until its rows are out, the same command goes on


def train_localizer(
    samples: Sequence[Row],
    plan: Plan,
    runtime: Runtime,
    *,
    compiled: bool,
    resume: bool,
    history: Callable[[int | None], list[dict[str, Any]]],  # by the number of epochs
    tensorboard: Path | None = None,
) -> tuple[Checkpoint, Dynamics]:
    """Train on the training split of the samples and write the checkpoint, which is returned with the training dynamics of its rows."""
    plan = plan.for_rows(samples)
    task, frame, rows, held_out_rows = plan.task, *training_rows(samples, plan)
    others: Sequence[Row] = unlabelled_rows(samples, plan) if plan.pseudo_labels else []
    plan = with_epochs(plan, max(len(rows), len(others)))
    if plan.patience and not held_out_rows:
        raise DataError("no annotated row of split val, by which --patience could tell", "leave it out, or give some rows split val")
    model, architecture = fresh_localizer(plan, frame, task.net_options(rows))
    classes = architecture.get("classes") or []
    warn_if_sides_are_mirrored(classes if task.kind == "objects" else [], plan.flip)
    training = task.training_data(rows, classes, frame, plan.out)
    validation = task.validation_data(held_out_rows, classes, frame, plan.out) if held_out_rows else None
    weights = sample_weights(rows)
    shuffle = chosen_shuffle(plan, rows, frame)
    identity = training_identity(plan, architecture, chain(rows, others), weights, by_shards=shuffle is not None)
    state = load_state(plan, identity) if resume else None
    if state:
        console.say(f"going on after epoch {state.epoch} of {plan.resume_path}")
    recipe = replace(plan.recipe, shuffle=shuffle)
    unlabelled = matching_images(others, frame, plan.out) if others else None
    extras = Extras(plan.attention, plan.pseudo_labels, unlabelled, compiled)
    objective = task.objective(model, training, weights, validation, recipe, runtime, extras)
    held_out = (validation.images, validation.targets) if validation else None
    done = state.epoch if state else 0
    drawn = scalars(tensorboard if first_process() else None, plan.out.stem, done)
    with console.progress(f"training on {counts_text(rows, others)}", recipe.epochs) as steps, resume_hint(plan), drawn as board:
        steps.advance(done)
        for reached in trained(objective, held_out, recipe, runtime, resume=state, measures_loss=True):
            state = reached
            if first_process():
                save_state(plan, identity, state)
            board.add(state.log[-1], state.seconds[-1])
            steps.advance(note=epoch_text(state.log[-1], state.seconds[-1]))
            end = cooling(state.log, recipe)
            if end and end.start == state.epoch:
                console.say(ending_text(end, recipe.patience))
                steps.expect(sum(end))
    assert state is not None
    model.load_state_dict(state.best)
    model.to(runtime.device).eval()
    best: dict[str, Any] = max(state.log, key=lambda entry: entry.get("val_iou", entry["epoch"]))
    metrics = {name: value for name, value in best.items() if name != "lr"}
    if plan.looks_again:
        metrics |= chosen_looks(plan, model, validation, runtime)
        architecture["looks"] = asdict(model.looks)
    if validation and (baseline := task.constant_baseline(training, validation)):
        metrics["constant_val_iou"] = round(baseline[1], 6)
        warn_if_constant(metrics["val_iou"], metrics["constant_val_iou"], baseline[0])
        if task.name in ("box", "mask"):
            warn_if_late([entry["val_iou"] for entry in state.log], objective.steps, metrics["constant_val_iou"], baseline[0])
    checkpoint = Checkpoint(
        weights_of(model), architecture, {"size": frame, **NORMALISATION}, metrics, None, state.log, history(plan.epochs)
    )
    checkpoint.fold, checkpoint.training = (asdict(plan.fold) if plan.fold else None), {"flip": list(plan.flip), "looks": plan.sees_crops}
    if shuffle:
        checkpoint.training["shuffle"] = "shards"
    if first_process():
        checkpoint.save(plan.out)
    return checkpoint, training_dynamics(rows, objective)


def chosen_looks(plan: Plan, model: Localizer, validation: Data | None, runtime: Runtime) -> dict[str, float]:
    """Metrics of the looks that are best on validation rows, to which the model is set, in place."""
    if validation is None:
        console.say(f"it looks {model.looks.count} times, as in training: no row of split val says what is best")
        return {}
    tried = choose_looks(model, validation.images, validation.targets, runtime, plan.looks, plan.window)
    return explain_looks(model.looks, tried)


def training_rows(samples: Sequence[Row], plan: Plan) -> tuple[list[int], Sequence[Row], Sequence[Row]]:
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


def unlabelled_rows(samples: Sequence[Row], plan: Plan) -> Sequence[Row]:
    """The rows of the training split without `boxes`; an empty list of boxes says that there is none to find, which is a label.

    Raises: DataError where every one is annotated.
    """
    training = of_split(samples, "train")
    rows = exclude_fold(rows_where(training, (not row.is_known for row in training)), plan.fold)
    if not rows:
        raise DataError("no row of split train lacks boxes", "--supervision semi needs some; prepare --labelled or --keep-unlabelled")
    return rows


def counts_text(training: Sequence[Row], others: Sequence[Row]) -> str:
    """How many rows a training learns from, in words."""
    return f"{len(training)} and {len(others)} without boxes" if others else str(len(training))


def sample_weights(rows: Sequence[Row]) -> np.ndarray:
    """The weight of each row in the loss: float32 [N], 1 where a row has none.

    Raises: DataError where all are zero.
    """
    weights = np.fromiter((row.weight for row in rows), np.float32, len(rows))
    if not weights.any():
        raise DataError("all weights are zero: nothing to learn from")
    return weights


def input_digests(samples: Sequence[Row], init: str) -> dict[str, str]:
    """Digests of what a training depends on, for its history."""
    digest = hashlib.sha256()
    for row in in_order(samples):
        digest.update(compact_json(row) + b"\n")
    return {"rows": digest.hexdigest()} | ({init: file_digest(init)} if init not in ("none", "imagenet") else {})
