"""Answers of other tools in place of models: COCO results by row, for `score` and `evaluate`."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from htltools import console
from htltools.commands import _inputs
from htltools.core.controls import chance
from htltools.core.folds import pairs
from htltools.core.hardness import by_model, present_mean, scores
from htltools.core.localizer import fraction_boxes, pixel_boxes
from htltools.core.missing import with_misses
from htltools.core.stability import Stability
from htltools.errors import DataError, MissingInput, UsageError
from htltools.formats.coco_results import is_json, read_images, read_results, result_of


def are_predictions(paths: list[Path]) -> bool:
    """Whether these files hold predictions rather than models.

    Raises: UsageError where some do and some do not; MissingInput.
    """
    missing = next((path for path in paths if not path.exists()), None)
    if missing:
        raise MissingInput(f"{missing} is not there")
    told = [is_json(path) for path in paths]
    if any(told) and not all(told):
        cause = f"{paths[told.index(True)]} holds predictions, {paths[told.index(False)]} does not"
        raise UsageError(cause, "score predictions with predictions, and models with models")
    return all(told)


class Predictions:
    """The answers of one file, of which the rows without any are counted."""

    def __init__(self, path: Path, images: dict[str, str] | None):
        self.path, self.results = path, read_results(path, images)
        self.asked = self.without = 0

    def boxes(self, rows: list[dict]) -> np.ndarray:
        """The box of each row as shares of its picture's sides, clipped to it: float32 [N, 4]; NaN where there is none."""
        sizes = _inputs.picture_sizes(rows)
        found = [result_of(self.results, row["id"]) or [np.nan] * 4 for row in rows]
        self.asked += len(rows)
        self.without += sum(np.isnan(box[0]) for box in found)
        return np.clip(fraction_boxes(np.array(found), sizes), 0, 1)

    def tell(self) -> None:
        """Say how many rows had no prediction.

        Raises: DataError where none had one: the names do not fit.
        """
        if self.without == self.asked:
            remedy = "image_id should be the id of a row; where it numbers the images of a data set, name that with --coco"
            raise DataError(f"{self.path} has a prediction for none of the {self.asked} rows", remedy)
        if self.without:
            console.say(f"{self.path}: no prediction for {self.without} of {self.asked} rows")


def opened(paths: list[Path], coco: Path | None) -> list[Predictions]:
    """The predictions of these files, whose images are numbered as in the data set `coco`, if there is one."""
    images = read_images(coco) if coco else None
    return [Predictions(path, images) for path in paths]


def told_boxes(path: Path, rows: list[dict], coco: Path | None) -> np.ndarray:
    """The box of each row in one file: float32 [N, 4], shares of the sides; without area, and counted aloud, where it has none."""
    (predictions,) = opened([path], coco)
    boxes = predictions.boxes(rows)
    predictions.tell()
    return np.nan_to_num(boxes)


@dataclass
class PredictionScorer:
    """What `_scoring.Scorer` is for models, for files of predictions: rows need no store."""

    dense: list[Path]
    pruned: list[Path]
    rows_at_once: int
    seed: int
    coco: Path | None
    stability: Stability | None = None
    paths: list[Path] = field(init=False)

    def __post_init__(self):
        self.predictions = opened([*self.dense, *self.pruned], self.coco)
        self.paths = [*self.dense, *self.pruned, *([self.coco] if self.coco else [])]
        self.pairs = pairs([None] * len(self.dense), [None] * len(self.pruned))

    def scored(self, rows: list[dict]) -> list[dict]:
        """The rows with their hardness and predicted boxes."""
        sizes, targets = _inputs.picture_sizes(rows), _inputs.target_boxes(rows)
        dense, pruned = np.split(np.array([predictions.boxes(rows) for predictions in self.predictions]), [len(self.dense)])
        columns = with_misses(scores, dense, pruned, targets, self.pairs) | {"random": chance([row["id"] for row in rows], self.seed)}
        if self.stability:
            parts = [row.get("split") or "none" for row in rows]
            self.stability.add(with_misses(by_model, dense, pruned, targets, self.pairs), parts)
        predicted = {role: pixel_boxes(present_mean(side), sizes) for role, side in {"dense": dense, "pruned": pruned}.items()}
        return list(_inputs.with_scores(rows, columns, predicted))

    def tell(self) -> None:
        """Say of each file how many rows it has no prediction for."""
        for predictions in self.predictions:
            predictions.tell()
