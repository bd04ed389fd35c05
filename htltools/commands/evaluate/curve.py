"""`evaluate --curve`: the points of the precision-recall and the FROC curve of models that find several objects."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from htltools import console
from htltools.commands.evaluate.lines import rounded_number
from htltools.commands.evaluate.measure import Measured
from htltools.core.statistics.detection_rates import operating_points
from htltools.core.statistics.sample_metrics import DetectionMetrics
from htltools.errors import UsageError
from htltools.formats.files.atomic import replacing
from htltools.formats.predictions.boxes_csv import lines
from htltools.formats.rows.jsonlines import joined_lines
from htltools.tasks.predictor import Predictor

SUFFIXES = ".csv", ".jsonl"
COLUMNS = "model", "class", "score", "precision", "recall", "f1", "fp_per_image"


def refuse_without_scores(predictors: Sequence[Predictor], flag: str) -> None:
    """Refuse models of one box, which has no score.

    Raises: UsageError naming the flag.
    """
    if not predictors or predictors[0].task.kind != "objects":
        which = f"{predictors[0].path} predicts one box" if predictors else "none is measured"
        raise UsageError(f"{flag} is for models of several objects, and {which}", f"leave out {flag}")


def write_curves(path: Path, measured: Sequence[Measured]) -> None:
    """Write a line for each score that a prediction of a model has, over all classes and over each of several: CSV, or JSON Lines."""
    points = [point for each in measured for point in curve_points(each)]
    if path.suffix == ".csv":
        blank = ([("" if point[name] is None else point[name]) for name in COLUMNS] for point in points)
        data = b"".join(lines([[*COLUMNS], *blank]))
    else:
        data = joined_lines(points)
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    console.say(f"{path}: {len(points)} points; class is empty for all classes together, an object is found from IoU .5 on")


def curve_points(measured: Measured) -> Iterator[dict[str, Any]]:
    """The points of a model, from the highest score down."""
    samples = measured.samples
    assert isinstance(samples, DetectionMetrics) and measured.predictor is not None  # see `refuse_without_scores`
    matches = samples.matches
    parts = {None: matches.pooled} | (dict(zip(matches.names, matches.classes)) if len(matches.names) > 1 else {})
    for name, own in parts.items():
        for values in zip(*operating_points(own)):
            numbers = (None if np.isnan(value) else rounded_number(float(value)) for value in values)
            yield dict(zip(COLUMNS, (str(measured.predictor.path), name, *numbers)))
