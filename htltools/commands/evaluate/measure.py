"""What `evaluate` and `report` measure of models: metrics of all samples and by subgroup, and differences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from htltools import console
from htltools.commands.evaluate.gaps import gap_lines
from htltools.commands.evaluate.lines import metric_line
from htltools.commands.shared.counted_images import CountedImages
from htltools.commands.shared.models import explain_models
from htltools.core.runtime.runtime import Runtime
from htltools.core.statistics.cluster_bootstrap import Estimate, estimates
from htltools.core.statistics.sample_metrics import DetectionMetrics, SampleMetrics
from htltools.core.statistics.subgroups import Crossing, subgroups
from htltools.errors import DataError
from htltools.formats.rows.row import Row
from htltools.formats.rows.spooled import rows_where, text_array
from htltools.tasks.predictor import Predictor, of_one_kind, predictor
from htltools.tasks.results import ResultsPredictor
from htltools.tasks.rows import in_order, of_split, reasons_aside
from htltools.tasks.task import Data


@dataclass(frozen=True)
class Measured:
    """A model on N samples: how its predictions agree with the annotation, and metrics that do not follow from single samples."""

    predictor: Predictor | None  # None: what rows hold of its predictions was measured
    predictions: np.ndarray  # see `Task.measured_predictions`
    samples: SampleMetrics
    more: dict[str, float]


def open_predictors(
    paths: Sequence[Path], rows: Sequence[Row], runtime: Runtime, coco: Path | None, objects: bool | None = None
) -> list[Predictor]:
    """The predictors of some files, each opened once.

    Raises: DataError where some find several objects and some predict one box; as `predictor`.
    """
    predictors = [predictor(path, rows, runtime, coco, objects) for path in paths]
    explain_models(predictors)
    of_one_kind(predictors)
    tasks = list(dict.fromkeys(each.task.name for each in predictors))
    if len(tasks) > 1:
        console.say(f"models of the tasks {' and '.join(tasks)} are compared by their boxes")
    return predictors


def measured(predictor: Predictor, rows: Sequence[Row]) -> Measured:
    """The model on annotated rows. Processes that share the job take their parts."""
    data: Data = predictor.data(rows)
    if isinstance(predictor, ResultsPredictor):
        predictions = predictor.predict(data)
    else:
        with console.progress(f"measuring {predictor.path}", len(rows)) as steps:
            predictions = predictor.predict(replace(data, images=CountedImages(data.images, steps)))
    samples = predictor.task.per_sample(predictions, data.targets, predictor.classes, predictor.threshold)
    return Measured(predictor, predictions, samples, predictor.more_metrics(data))


def measured_rows(rows: Sequence[Row], split: str, is_annotated: Callable[[Row], bool]) -> tuple[Sequence[Row], Sequence[Row]]:
    """The annotated rows of a split, or of all, repeats counted once, and the others.

    Raises: DataError where none is annotated.
    """
    there = in_order(rows) if split == "all" else of_split(rows, split)
    there = rows_where(there, (not row.repeat for row in there))
    measurable = np.fromiter((is_annotated(row) and not row.is_pseudo for row in there), bool)
    samples, others = rows_where(there, measurable), rows_where(there, ~measurable)
    if not samples:
        splits = sorted({row.split for row in rows if row.split})
        aside = f"none of the {len(there)} rows of the split {split} can be measured: {reasons_aside(others)}"
        cause = aside if there else f"no row is of the split {split}"
        raise DataError(cause, f"the splits there are: {', '.join(splits) or 'none'}")
    return samples, others


def metric_lines(
    rows: Sequence[Row],
    ours: Sequence[Measured],
    theirs: Sequence[Measured],
    crossings: list[Crossing],
    split: str,
    seed: int,
    *,
    gaps: bool = True,
) -> list[dict[str, Any]]:
    """The metrics of models, runs of one kind, as means over them: of all rows, and by subgroup, with `gaps` from best to worst.

    With `theirs`, as many models, also the differences, each model's to the one in its place.
    """
    groups, baselines = text_array(row.group for row in rows), [each.predictor.path for each in theirs if each.predictor]
    mine, others = [each.samples for each in ours], [each.samples for each in theirs]

    def lines_of(subgroup: dict[str, str] | None, places: np.ndarray) -> list[dict[str, Any]]:
        own, other = ([each.at(places) for each in side] for side in (mine, others))
        about = {"split": split, "subgroup": subgroup, "n": len(places)}
        results = estimates(own, groups[places], other or None, seed=seed)
        objects = own[0].objects_by_class() if isinstance(own[0], DetectionMetrics) else {}

        def line(name: str, estimate: Estimate) -> dict[str, Any]:
            of_class = name.rpartition("/")[0]
            return metric_line(name, about | ({"objects": objects[of_class]} if of_class else {}), estimate, baselines)

        return [line(name, estimate) for name, estimate in results.items()]

    lines = lines_of(None, np.arange(len(rows)))
    for name in (name for name in ours[0].more if all(name in each.more for each in ours)):
        runs = tuple(each.more[name] for each in ours)
        about = {"split": split, "subgroup": None, "n": len(rows)}
        lines.append(metric_line(name, about, Estimate(sum(runs) / len(runs), None, None, runs)))
    for crossing in crossings:
        parts = subgroups(rows, crossing)
        by_level = [lines_of(*part) for part in parts]
        lines += [line for of_level in by_level for line in of_level]
        if gaps:
            lines += gap_lines(crossing, parts, by_level, mine, groups, others, baselines, seed)
    return lines
