"""`look` from rows to rows: a checkpoint of the same weights is written in between."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from htltools.commands.shared.models import explain_looks, explain_runtime, model_path
from htltools.core.nets.looks import Looks
from htltools.core.nets.state_arrays import weights_of
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.choose_looks import choose_looks
from htltools.errors import DataError, UsageError
from htltools.formats.files.atomic import is_pipe_or_device, refuse_existing
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.provenance import Run, file_digest
from htltools.formats.rows.row import Row
from htltools.formats.rows.stream import RowWriter, check_groups
from htltools.formats.sources.open_rows import read_many_rows
from htltools.tasks.predictor import CheckpointPredictor
from htltools.tasks.rows import annotated_rows, target_boxes


@dataclass(frozen=True)
class Wish:
    """What is asked for of the fields of `Looks`; None = as is best."""

    count: int | None
    window: float | None
    agree: float | None
    place: str


def look_rows(
    run: Run,
    source: Path | None,
    out: Path,
    model: Path | None,
    glance: Path | None,
    wish: Wish,
    runtime: Runtime,
    *,
    limit: int | None,
    partial: bool,
    force: bool,
) -> None:
    """Write the model with other looks, and the rows again."""
    refuse_existing(out, force)
    samples, reader = read_many_rows(source, partial=partial, limit=limit)
    check_groups(samples)
    path = model_path(model, reader, "dense")
    explain_runtime(runtime)
    dense = CheckpointPredictor(path, runtime)
    if "look" not in dense.task.supports:
        raise UsageError(f"{path} is a model of the task {dense.task.name}, which looks once")
    if glance:
        dense.localizer.glance = glancing(dense, CheckpointPredictor(glance, runtime))
    metrics = chosen(dense, wish, samples, runtime)
    inputs = {str(each): file_digest(each) for each in (path, glance) if each}
    history = run.chain(dense.checkpoint.history, inputs, **asdict(dense.localizer.looks))
    changed(dense, metrics, history).save(out)
    with RowWriter(run, run.chain(reader.history, inputs), skipped=reader.skipped) as writer:
        writer.models(reader.models | ({} if is_pipe_or_device(out) else {"dense": str(out.absolute())}))
        writer.write(samples)


def glancing(dense: CheckpointPredictor, pruned: CheckpointPredictor) -> Any:
    """The net of a pruned copy, for the first look of the dense model.

    Raises: DataError where it is a copy of another kind of model.
    """
    ours, theirs = ({name: value for name, value in each.checkpoint.architecture.items() if name != "looks"} for each in (dense, pruned))
    if ours != theirs or pruned.localizer.glance is not None:
        raise DataError(f"{pruned.path} is no pruned copy of {dense.path}", "prune that model")
    return pruned.localizer.net


def chosen(dense: CheckpointPredictor, wish: Wish, samples: Sequence[Row], runtime: Runtime) -> dict[str, float]:
    """Metrics of the looks that are best on the split val, or asked for, to which the model is set, in place."""
    selection = dense.task.validation_rows(samples)
    box = tuple(median_box(samples)) if wish.place == "median" else None
    rest = Looks(agree=Looks().agree if wish.agree is None else wish.agree, at=wish.place, box=box)
    if not selection.rows:
        if wish.count is None or (wish.window is None and wish.count > 1):
            raise DataError("no annotated row of split val, which says what is best", "name --looks and --look-window")
        dense.localizer.looks = replace(rest, count=wish.count, window=wish.window or rest.window)
        return {}
    data = dense.data(selection.rows)
    tried = choose_looks(dense.localizer, data.images, data.targets, runtime, wish.count, wish.window, rest)
    return explain_looks(dense.localizer.looks, tried)


def median_box(samples: Sequence[Row]) -> list[float]:
    """The median of the training boxes, shares of the sides.

    Raises: DataError where there is none.
    """
    rows = annotated_rows(samples, "train", lambda row: row.is_annotated).rows
    if not rows:
        raise DataError("no annotated row of split train, whose median box --look-at median takes")
    return [round(float(edge), 6) for edge in np.median(target_boxes(rows), 0)]


def changed(dense: CheckpointPredictor, metrics: dict[str, float], history: list[dict[str, Any]]) -> Checkpoint:
    """The checkpoint of the model as it looks now."""
    architecture = dense.checkpoint.architecture | {"looks": asdict(dense.localizer.looks)}
    if dense.localizer.glance is not None:
        architecture["glance"] = True
    kept = {name: value for name, value in dense.checkpoint.metrics.items() if name not in ("val_iou", "one_look_val_iou")}
    return replace(
        dense.checkpoint, weights=weights_of(dense.localizer), architecture=architecture, metrics=kept | metrics, history=history
    )
