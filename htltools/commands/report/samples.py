"""The samples of a report: their scores, boxes and IoU by role, and the models that predicted them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from htltools import console
from htltools.commands.evaluate.measure import open_predictors
from htltools.commands.score.scorer import ModelScorer
from htltools.commands.shared.hardness import OF_ROWS, hardness_column, known_columns
from htltools.commands.shared.models import FLAGS, model_path
from htltools.core.geometry.matching import set_overlap
from htltools.core.hardness.rank_stability import Stability
from htltools.core.runtime.runtime import Runtime
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import ROLES, SPLITS
from htltools.formats.rows.spooled import kept_rows, rows_where, text_array
from htltools.formats.rows.stream import RowReader
from htltools.tasks.predictor import CheckpointPredictor, Predictor, of_one_kind, predictor
from htltools.tasks.role_objects import objects_by_role
from htltools.tasks.rows import image_sizes, in_order

ATTENDED = "attended"  # the role of a model that attended
AT_ONCE = 1024  # rows


@dataclass(frozen=True)
class ReportSamples:
    """Samples with all that is known of them.

    models: by role (dense, pruned, attended), those that are at hand, each opened once. stability: rank correlation between models by
    column and split.
    """

    rows: Sequence[Row]
    models: dict[str, list[Predictor]]
    stability: dict[str, dict[str, float]]
    seed: int

    @cached_property
    def objects(self) -> dict[str, np.ndarray]:
        """Boxes by role (annotated, dense, pruned, attended) as objects, [N, M, 5] each."""
        return objects_by_role(self.rows, [*ROLES, ATTENDED])

    @cached_property
    def iou(self) -> dict[str, np.ndarray]:
        """IoU with the annotation by role, of several objects the overlap of the sets: [N] each."""
        return {role: set_overlap(own, self.objects["annotated"]) for role, own in self.objects.items() if role != "annotated"}

    @cached_property
    def splits(self) -> np.ndarray:
        """The split of each row."""
        return text_array(row.split or "none" for row in self.rows)

    @cached_property
    def groups(self) -> np.ndarray:
        """The group of each row."""
        return text_array(row.group for row in self.rows)

    @cached_property
    def ids(self) -> np.ndarray:
        """The id of each row."""
        return text_array(row.id for row in self.rows)

    @cached_property
    def known_splits(self) -> list[str]:
        """The splits that there are."""
        return [part for part in (*SPLITS, "none") if part in self.splits]

    @property
    def paths(self) -> dict[Path, str]:
        """The role of each model by its file."""
        return {each.path: role for role, own in self.models.items() for each in own}

    def checkpoints(self, role: str) -> list[Checkpoint]:
        """The checkpoints among the models of a role."""
        return [each.checkpoint for each in self.models.get(role, []) if isinstance(each, CheckpointPredictor)]

    @cached_property
    def hardness(self) -> dict[str, np.ndarray]:
        """The columns of hardness that rows carry, and those that follow from them, by name: float [N] each. Rows are read once for all."""
        names = list(dict.fromkeys([*OF_ROWS, *(name for row in self.rows for name in row.hardness)]))
        return dict(zip(names, known_columns(self.rows, names, self.seed).T))

    def known(self, name: str) -> np.ndarray:
        """A column of hardness: float [N], NaN where a row lacks it."""
        return self.hardness.get(name, np.full(len(self.rows), np.nan))

    def column(self, name: str) -> np.ndarray:
        """As `known`.

        Raises: DataError where no row has it.
        """
        values = self.known(name)
        return values if np.isfinite(values).any() else hardness_column(self.rows, name, self.seed)


def report_samples(
    rows: Sequence[Row], reader: RowReader, dense: list[Path], pruned: list[Path], attended: Path | None, runtime: Runtime
) -> ReportSamples:
    """The samples of some rows. They are scored first where they are not, or where models were named.

    Raises: DataError where some models find several objects and some predict one box.
    """
    rows = in_order(rows_where(rows, (not row.repeat for row in rows)))
    stability: dict[str, dict[str, float]] = {}
    models: dict[str, list[Predictor]] = {}
    others = [predictor(attended, rows, runtime)] if attended else []
    if dense or pruned or not any(row.predicted or row.detected for row in rows):
        named = {"dense": dense, "pruned": pruned}
        checkpoints = {
            role: [CheckpointPredictor(path, runtime) for path in own or [model_path(None, reader, role)]] for role, own in named.items()
        }
        rows, stability = scored(rows, checkpoints, runtime)
        models = {role: list(own) for role, own in checkpoints.items()}
    else:
        models = {role: open_predictors(models_at_hand(reader, role), rows, runtime, None) for role in ROLES}
    models[ATTENDED] = others
    of_one_kind([each for own in models.values() for each in own])
    if others:
        rows = with_predictions(rows, others[0], ATTENDED)
    return ReportSamples(rows, {role: own for role, own in models.items() if own}, stability, runtime.seed)


def scored(
    rows: Sequence[Row], models: dict[str, list[CheckpointPredictor]], runtime: Runtime
) -> tuple[Sequence[Row], dict[str, dict[str, float]]]:
    """The rows as `score` writes them, and how alike the models rank them: rank correlation by column and split."""
    stability = Stability() if max(map(len, models.values())) > 1 else None
    scorer = ModelScorer(models["dense"], models["pruned"], [], runtime, stability)
    with console.progress("scoring", len(rows)) as steps:

        def results() -> Iterator[Row]:
            for batch in in_batches(rows, runtime.batch_size):
                yield from scorer.scored(batch)
                steps.advance(len(batch))

        return kept_rows(results()), stability.correlations() if stability else {}


def in_batches(rows: Sequence[Row], size: int) -> Iterator[list[Row]]:
    """The rows in lists of at most `size`."""
    return (list(rows[start : start + size]) for start in range(0, len(rows), size))


def with_predictions(rows: Sequence[Row], model: Predictor, role: str) -> Sequence[Row]:
    """The rows with what a model predicts, as a role beside what they have."""
    task, data = model.task, model.data(rows)
    predictions = task.counted(model.predict(data), model.threshold)
    for note in model.notes():
        console.say(note)

    def changed() -> Iterator[Row]:
        for number, batch in enumerate(in_batches(rows, AT_ONCE)):
            own = predictions[None, number * AT_ONCE :][:, : len(batch)]
            for row, value in zip(batch, task.field_values(own, image_sizes(batch), model.classes)):
                yield row.changed(**{task.field: (row.get(task.field) or {}) | {role: value}})

    return kept_rows(changed())


def models_at_hand(reader: RowReader, role: str) -> list[Path]:
    """The model of that role that the stream names, if it is still there."""
    if role not in reader.models:
        return []
    path = model_path(None, reader, role, FLAGS[role])
    if not path.is_file():
        console.say(f"the {role} model {path} is not there: the page goes without its curves")
        return []
    return [path]
