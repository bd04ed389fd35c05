"""Answers of other tools in place of models, for `score`: COCO results by row into columns."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from htltools.commands.shared import inputs
from htltools.core.geometry.matching import set_overlap
from htltools.core.geometry.objects import above, first_known, padded_alike
from htltools.core.hardness.baselines import chance
from htltools.core.hardness.cross_fitting import model_pairs
from htltools.core.hardness.missing_predictions import columns_with_misses
from htltools.core.hardness.rank_stability import Stability
from htltools.core.hardness.scores import OBJECTS, by_model, present_mean, scores
from htltools.core.nets.localizer import pixel_boxes
from htltools.tasks.objects import class_names, target_objects, with_objects
from htltools.tasks.predictions import COUNTS, ObjectPredictions, Predictions, hold_several, opened, opened_objects


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
        self.predictions: list[Predictions] = []  # opened with the first rows, which tell whether images hold several objects
        self.paths = [*self.dense, *self.pruned, *([self.coco] if self.coco else [])]
        self.pairs = model_pairs([None] * len(self.dense), [None] * len(self.pruned))

    def scored(self, rows: list[dict]) -> list[dict]:
        """The rows with their hardness and predicted boxes, or the objects found where the first rows hold several."""
        if not self.predictions:
            files = [*self.dense, *self.pruned]
            several = hold_several(rows)
            self.predictions = opened_objects(files, self.coco, class_names(rows)) if several else opened(files, self.coco)
        if isinstance(self.predictions[0], ObjectPredictions):
            return self.of_objects(rows)
        sizes, targets = inputs.image_sizes(rows), inputs.target_boxes(rows)
        dense, pruned = np.split(np.array([predictions.boxes(rows) for predictions in self.predictions]), [len(self.dense)])
        columns = columns_with_misses(scores, dense, pruned, targets, self.pairs) | {
            "random": chance([row["id"] for row in rows], self.seed)
        }
        if self.stability:
            parts = [row.get("split") or "none" for row in rows]
            self.stability.add(columns_with_misses(by_model, dense, pruned, targets, self.pairs), parts)
        predicted = {role: pixel_boxes(present_mean(side), sizes) for role, side in {"dense": dense, "pruned": pruned}.items()}
        return list(inputs.with_scores(rows, columns, predicted))

    def of_objects(self, rows: list[dict]) -> list[dict]:
        """As `scored`, of several objects. Their loss, which no other tool tells, is 1 less their overlap with the annotation."""
        classes = self.predictions[0].classes
        targets = target_objects(rows, classes)
        predictions = [above(predictions.objects(rows), COUNTS) for predictions in self.predictions]
        dense, pruned = padded_alike(predictions[: len(self.dense)]), padded_alike(predictions[len(self.dense) :])
        loss = 1 - set_overlap(dense, targets), 1 - set_overlap(pruned, targets)
        columns = scores(dense, pruned, targets, self.pairs, OBJECTS, loss) | {"random": chance([row["id"] for row in rows], self.seed)}
        if self.stability:
            parts = [row.get("split") or "none" for row in rows]
            self.stability.add(by_model(dense, pruned, targets, self.pairs, OBJECTS, loss), parts)
        found = {"dense": first_known(dense), "pruned": first_known(pruned)}
        return list(with_objects(rows, columns, found, inputs.image_sizes(rows), classes))

    def tell(self) -> None:
        """Say of each file how many rows it has no prediction for."""
        for predictions in self.predictions:
            predictions.tell()
