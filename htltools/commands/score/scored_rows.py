"""What scorers have in common: the protocol, and rows with their scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from htltools import console
from htltools.commands.shared.hardness import rounded_scores
from htltools.core.hardness.baselines import chance
from htltools.core.hardness.prediction_spread import PredictionSpread
from htltools.core.hardness.rank_stability import Stability
from htltools.core.hardness.scores import Sides
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import SPLITS
from htltools.tasks.doubt import with_object_doubts
from htltools.tasks.rows import image_sizes
from htltools.tasks.task import Task


class Scorer(Protocol):
    """Scores rows in batches of up to `rows_at_once`."""

    paths: list[Path]
    rows_at_once: int
    stability: Stability | None
    spreads: list[PredictionSpread]  # of the pruned models

    def scored(self, rows: list[Row]) -> list[Row]:
        """The rows with their hardness and predictions."""
        ...

    def notes(self) -> list[str]:
        """Sentences to say once all rows are through."""
        ...


def with_scores(
    rows: Sequence[Row],
    columns: dict[str, np.ndarray],
    sides: Sides,
    task: Task,
    classes: Sequence[str],
    seed: int,
    by_object: np.ndarray | None = None,
) -> list[Row]:
    """The rows with hardness by column ([N] each; NaN is left out), and the predictions of each role in the field of the task.

    by_object: the doubt of each object of the dense side, [N, D], where it is known.
    """
    columns = columns | {"random": chance([row.id for row in rows], seed)}
    sizes = image_sizes(rows)
    by_role = {role: side for role, side in {"dense": sides.dense, "pruned": sides.pruned}.items() if len(side)}
    values = {role: task.field_values(side, sizes, classes) for role, side in by_role.items()}
    values["dense"] = with_object_doubts(values["dense"], by_object)
    scored = []
    for i, row in enumerate(rows):
        predicted = {role: own[i] for role, own in values.items() if own[i] is not None}
        fields = {"hardness": row.hardness | rounded_scores(columns, i), task.field: (row.get(task.field) or {}) | predicted}
        scored.append(row.changed(**fields))
    return scored


def splits_of(rows: Sequence[Row]) -> list[str]:
    """The split of each row, `none` where it has none."""
    return [row.split or "none" for row in rows]


def show_stability(stability: Stability) -> None:
    """Print on stderr how alike the models rank the rows of each split."""
    if console.talk.quiet:
        return
    correlations = stability.correlations()
    splits = [split for split in (*SPLITS, "none") if split in next(iter(correlations.values()))]
    lines = [
        [name, *("-" if np.isnan(by_split[split]) else f"{by_split[split]:.3f}" for split in splits)]
        for name, by_split in correlations.items()
    ]
    console.say("rank correlation from model to model, mean over their pairs, by split")
    console.show_table(["column", *splits], lines, to_stderr=True)
