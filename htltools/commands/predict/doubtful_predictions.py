"""Predictions of one or several models for a batch of images, with their doubt, as rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from htltools.commands.predict.batches import Batch
from htltools.commands.score.pairing import pairs_of_copies
from htltools.commands.shared.hardness import rounded_scores
from htltools.core.hardness.doubt import object_disagreement
from htltools.core.hardness.scores import present_mean, seed_disagreement
from htltools.errors import DataError
from htltools.formats.rows.row import Row
from htltools.tasks.doubt import OF_ONE_MODEL, mean_doubt, predictions_of, with_object_doubts
from htltools.tasks.predictor import ModelPredictor, of_one_task
from htltools.tasks.rows import image_sizes


@dataclass(frozen=True)
class Predicted:
    """A batch, its rows with what K models predict, and that as arrays, [K, N, ...]."""

    batch: Batch
    rows: list[Row]
    predictions: np.ndarray


@dataclass
class DoubtfulPredictor:
    """Models that predict together. column: of doubt, None = none; refer: the doubt above which a person should look, None = nobody says.

    Raises: DataError where the models do not go together.
    """

    models: Sequence[ModelPredictor]
    pruned: Sequence[ModelPredictor]
    column: str | None
    refer: float | None
    pairs: Sequence[tuple[int, int]] = field(init=False)

    def __post_init__(self):
        of_one_task([*self.models, *self.pruned])
        self.task, self.classes, self.frame = self.models[0].task, self.models[0].classes, self.models[0].frame
        for other in [*self.models, *self.pruned]:
            if list(other.frame) != list(self.frame):
                sizes = " and ".join("x".join(map(str, each.frame)) for each in (self.models[0], other))
                raise DataError(f"{self.models[0].path} and {other.path} take images of {sizes}", "name models of one --size")
        self.pairs = pairs_of_copies(self.models, self.pruned)

    def predicted(self, batch: Batch) -> Predicted:
        """A batch with what the models predict, its doubt, and whether to refer it."""
        images, comparison = batch.images, self.task.comparison
        predictions = predictions_of([*self.models, *self.pruned], images)
        dense, pruned = predictions[: len(self.models)], predictions[len(self.models) :]
        columns, by_object = {}, None
        if len(pruned):
            both = [(dense[one], pruned[other]) for one, other in self.pairs]
            columns["pruned_disagreement"] = present_mean([1 - comparison.overlap(*pair) for pair in both])
            columns["pruned_shift"] = present_mean([comparison.distance(*pair) for pair in both])
        if len(dense) > 1:
            columns["seed_disagreement"] = seed_disagreement(dense, comparison)
        for column in OF_ONE_MODEL:
            if column == self.column or (column == "soft_dice_doubt" and column in self.task.supports):
                columns[column], found = mean_doubt(self.models, column, images, dense)
                by_object = found if column == self.column else by_object
        if self.task.kind == "objects" and self.column in ("seed_disagreement", "pruned_disagreement"):
            others = dense[1:] if self.column == "seed_disagreement" else [pruned[other] for one, other in self.pairs if one == 0]
            by_object = object_disagreement(dense[0], list(others))[1] if len(others) else None
        return Predicted(batch, self.rows(batch.rows, dense, columns, by_object), dense)

    def rows(self, rows: Sequence[Row], dense: np.ndarray, columns: dict[str, np.ndarray], by_object: np.ndarray | None) -> list[Row]:
        """The rows with predictions [K, N, ...], hardness by column [N], and the doubt of each object [N, D] where it is known."""
        values = self.task.field_values(dense, image_sizes(rows), self.classes)
        predicted = []
        for i, (row, value) in enumerate(zip(rows, with_object_doubts(values, by_object))):
            fields = {
                self.task.field: (row.get(self.task.field) or {}) | {"dense": value},
                "hardness": row.hardness | rounded_scores(columns, i),
            }
            if self.refer is not None and self.column:
                fields["refer"] = not columns[self.column][i] <= self.refer
            predicted.append(Row({name: value for name, value in row.items() if name != "refer"} | fields))
        return predicted
