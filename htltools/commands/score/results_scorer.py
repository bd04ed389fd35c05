"""`score` on predictions of other tools, COCO results, in place of models."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from htltools.commands.score.scored_rows import splits_of, with_scores
from htltools.core.geometry.boxes import box_losses
from htltools.core.geometry.objects import above, stacked
from htltools.core.hardness.cross_fitting import pairs_by_place
from htltools.core.hardness.missing_predictions import filled_with_misses
from htltools.core.hardness.prediction_spread import PredictionSpread
from htltools.core.hardness.rank_stability import Stability
from htltools.core.hardness.scores import Sides, scores, scores_by_model, two_sides
from htltools.errors import MissingInput, UsageError
from htltools.formats.rows.row import Row
from htltools.formats.tables.coco_results import is_json
from htltools.tasks.results import results_predictor


def are_results(paths: list[Path]) -> bool:
    """Whether these files hold predictions rather than models.

    Raises: UsageError where some do and some do not; MissingInput.
    """
    missing = next((path for path in paths if not path.exists()), None)
    if missing:
        raise MissingInput(f"{missing} is not there")
    results = [is_json(path) for path in paths]
    if any(results) and not all(results):
        cause = f"{paths[results.index(True)]} holds predictions, {paths[results.index(False)]} does not"
        raise UsageError(cause, "score predictions with predictions, and models with models")
    return all(results)


@dataclass
class ResultsScorer:
    """As `scorer.ModelScorer`, of files of predictions: rows need no store. All rows must be known before the first is scored, for a name
    of a prediction may fit several of them."""

    rows: Sequence[Row]
    dense: list[Path]
    pruned: list[Path]
    rows_at_once: int
    seed: int
    coco: Path | None
    objects: bool | None = None
    stability: Stability | None = None
    paths: list[Path] = field(init=False)

    def __post_init__(self):
        files = [*self.dense, *self.pruned]
        self.predictors = [results_predictor(path, self.rows, self.coco, self.objects) for path in files]
        self.spreads = [PredictionSpread(self.predictors[0].task.comparison.distance) for _ in self.pruned]
        self.paths = [*self.dense, *self.pruned, *([self.coco] if self.coco else [])]
        self.pairs = pairs_by_place(len(self.dense), len(self.pruned))

    def scored(self, rows: list[Row]) -> list[Row]:
        """As `Scorer.scored`."""
        task, classes = self.predictors[0].task, self.predictors[0].classes
        annotation = task.annotation(rows, classes)
        predictions = [predictor.predictions(rows) for predictor in self.predictors]
        sides, missed = self.of_objects(predictions, annotation) if classes else self.of_boxes(np.array(predictions), annotation)
        for spread, own in zip(self.spreads, sides.pruned):
            spread.add(own)
        columns = scores(sides, annotation, task.comparison, missed)
        if self.stability:
            self.stability.add(scores_by_model(sides, annotation, task.comparison, missed), splits_of(rows))
        return with_scores(rows, columns, sides, task, classes, self.seed)

    def of_boxes(self, predictions: np.ndarray, annotation: np.ndarray) -> tuple[Sides, Sides]:
        """Both sides as they are, and with a miss where a predicted box is missing; predictions [K, N, 4]."""
        missed = filled_with_misses(predictions, annotation)
        loss = np.array([box_losses(boxes, annotation) for boxes in missed])
        return self.sides(predictions, loss), self.sides(missed, loss)

    def of_objects(self, predictions: list[np.ndarray], annotation: np.ndarray) -> tuple[Sides, None]:
        """Both sides. Their loss, which no other tool tells, is 1 less their overlap with the annotation."""
        overlap, threshold = self.predictors[0].task.comparison.overlap, self.predictors[0].threshold
        counted = stacked([above(objects, threshold) for objects in predictions])
        return self.sides(counted, np.array([1 - overlap(objects, annotation) for objects in counted])), None

    def sides(self, predictions: np.ndarray, losses: np.ndarray) -> Sides:
        """Dense and pruned predictions [K, N, ...] and their losses [K, N] apart."""
        return two_sides(predictions, losses, len(self.dense), self.pairs)

    def notes(self) -> list[str]:
        """A sentence on each file that has no prediction for some rows.

        Raises: DataError where one has none at all.
        """
        return [note for predictor in self.predictors for note in predictor.notes()]
