"""The training dynamics of a training, as columns of hardness of its rows."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from htltools.commands.shared.hardness import rounded_scores
from htltools.core.hardness.training_dynamics import dynamics
from htltools.formats.rows.row import Row

Dynamics = tuple[dict[int, int], dict[str, np.ndarray]]  # place of each row by a hash of its name, and the columns by name, [N] each


def training_dynamics(rows: Sequence[Row], objective: Any) -> Dynamics:
    """The names of rows, hashed, and the columns of hardness that follow from the record of an objective, where it keeps one."""
    record = getattr(objective, "record", None)
    if record is None:
        return {}, {}
    place = {hash(row.unique_name): i for i, row in enumerate(rows)}
    return place, dynamics(record.iou.numpy(), record.margin.numpy())


def with_training_dynamics(rows: Iterable[Row], place: dict[int, int], columns: dict[str, np.ndarray]) -> Iterator[Row]:
    """The rows; those that were learned from with their columns."""
    for row in rows:
        i = place.get(hash(row.unique_name)) if row.split == "train" else None
        yield row if i is None else row.changed(hardness=row.hardness | rounded_scores(columns, i))
