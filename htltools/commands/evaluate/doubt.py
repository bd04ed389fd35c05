"""Whether doubt tells which predictions fail, for `evaluate --doubt`: risk and coverage by each column, beside the ideal and no order."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from htltools import console
from htltools.commands.evaluate.lines import metric_line
from htltools.commands.evaluate.measure import Measured
from htltools.commands.shared.columns import column_named
from htltools.commands.shared.hardness import hardness_column, known_hardness
from htltools.core.hardness.scores import seed_disagreement
from htltools.core.runtime.batches import batches
from htltools.core.runtime.runtime import Runtime
from htltools.core.statistics.cluster_bootstrap import estimates
from htltools.core.statistics.risk_coverage import DoubtMetrics
from htltools.core.statistics.subgroups import Crossing, subgroups
from htltools.errors import DataError
from htltools.formats.rows.row import Row
from htltools.formats.rows.spooled import text_array
from htltools.formats.rows.vocabulary import HARDNESS
from htltools.formats.store.shard import Images, placement
from htltools.processes import process_count
from htltools.tasks.doubt import OF_ONE_MODEL, doubt_of, missing_reason, predictions_of
from htltools.tasks.onnx_predictor import OnnxPredictor
from htltools.tasks.predictor import CheckpointPredictor, Predictor

Doubts = dict[str, list[np.ndarray]]  # by column the doubt of each of K models' predictions, [N] each


def doubts(rows: Sequence[Row], names: Sequence[str], predictors: Sequence[Predictor], runtime: Runtime) -> Doubts:
    """The columns of those names, or of names that begin so: those of the rows, where all have them, else computed from the models.

    Raises: UsageError for an unknown name; DataError where neither rows nor models have a column.
    """
    known = dict.fromkeys([*HARDNESS, *(name for row in rows for name in row.hardness)])
    columns = dict.fromkeys(column_named(name, known, "--doubt") for name in names)
    return {column: doubt_by_run(rows, column, predictors, runtime) for column in columns}


def doubt_by_run(rows: Sequence[Row], column: str, predictors: Sequence[Predictor], runtime: Runtime) -> list[np.ndarray]:
    """A column of N rows for each of K models, [N] each."""
    own = known_hardness(rows, column, runtime.seed)
    if not np.isnan(own).any():
        if column != "random":
            console.say(f"{column} is that of the rows")
        return [own] * len(predictors)
    models = [each for each in predictors if isinstance(each, (CheckpointPredictor, OnnxPredictor))]
    if len(models) == len(predictors) and column in OF_ONE_MODEL:
        for model in models:
            if reason := missing_reason(model, column):
                raise DataError(reason, "name another --doubt")
        return [by_batch(rows, runtime, partial(of_model, model, column)) for model in models]
    if len(models) == len(predictors) > 1 and column == "seed_disagreement":
        return [by_batch(rows, runtime, partial(of_models, models))] * len(models)
    return [hardness_column(rows, column, runtime.seed)] * len(predictors)  # which says what is missing


def by_batch(rows: Sequence[Row], runtime: Runtime, column: Callable[[Images], np.ndarray]) -> np.ndarray:
    """A column [N] of N rows, from their images, batch by batch: masks of all of them need not fit in memory."""
    place = cache(placement)
    turns = batches(len(rows), runtime.batch_size * process_count())
    return np.concatenate([column(Images([rows[i] for i in chosen], place)) for chosen in turns])


def of_model(model: CheckpointPredictor | OnnxPredictor, column: str, images: Images) -> np.ndarray:
    """A column of the predictions of one model: [B]."""
    return doubt_of(model, column, images, model.predict_images(images))[0]


def of_models(models: Sequence[CheckpointPredictor | OnnxPredictor], images: Images) -> np.ndarray:
    """`seed_disagreement` of several models: [B]."""
    return seed_disagreement(predictions_of(models, images), models[0].task.comparison)


def doubt_lines(
    rows: Sequence[Row], ours: Sequence[Measured], columns: Doubts, failure_iou: float, crossings: list[Crossing], split: str, seed: int
) -> list[dict[str, Any]]:
    """The metrics of each column, those of no order and of the ideal one, and what the first column has over each other one.

    Of K runs, the mean over them. By subgroup only those of the columns.
    """
    groups = text_array(row.group for row in rows)
    by_column = {
        name: [DoubtMetrics(run.samples.iou, own, failure_iou) for run, own in zip(ours, by_run)] for name, by_run in columns.items()
    }
    first, *others = by_column

    def lines_of(name: str, runs: list[DoubtMetrics], subgroup: dict[str, str] | None, places: np.ndarray) -> list[dict[str, Any]]:
        about = {"split": split, "subgroup": subgroup, "n": len(places)}
        found = estimates([run.at(places) for run in runs], groups[places], seed=seed)
        more = {"doubt": name, "failure_iou": failure_iou}
        return [metric_line(metric, about, estimate) | more for metric, estimate in found.items()]

    everything = np.arange(len(rows))
    lines = [line for name, runs in by_column.items() for line in lines_of(name, runs, None, everything)]
    lines += lines_of("random order", [run.random() for run in by_column[first]], None, everything)
    lines += lines_of("ideal order", [run.ideal() for run in by_column[first]], None, everything)
    for other in others:
        found = estimates(by_column[first], [row.group for row in rows], by_column[other], seed=seed)
        about = {"split": split, "subgroup": None, "n": len(rows)}
        deltas = {metric: estimate for metric, estimate in found.items() if metric.endswith(".delta")}
        more = {"doubt": first, "failure_iou": failure_iou}
        lines += [metric_line(metric, about, estimate, [other]) | more for metric, estimate in deltas.items()]
    for crossing in crossings:
        for subgroup, places in subgroups(rows, crossing):
            lines += [line for name, runs in by_column.items() for line in lines_of(name, runs, subgroup, places)]
    return lines
