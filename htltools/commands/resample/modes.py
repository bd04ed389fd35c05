"""What becomes of the training rows in each mode: for each of them the rows that are written in its place."""

from collections.abc import Sequence

import numpy as np

from htltools.core.sampling.sample_weights import boosted_weights
from htltools.core.sampling.subset import selection
from htltools.errors import UsageError
from htltools.formats.rows.row import Row


def hard_weights(is_hard: np.ndarray, boost: float) -> np.ndarray:
    """Weights of the training rows, 1 + boost for the hard ones (bool [N]), with mean 1: [N].

    Raises: UsageError where all of them would be 0.
    """
    if boost == -1 and is_hard.all():
        raise UsageError("--boost -1 leaves out the hard rows, and all of them are hard", "lower --top")
    return boosted_weights(is_hard, boost)


def weighted(rows: Sequence[Row], weights: np.ndarray) -> list[list[Row]]:
    """Each row with its weight [N]."""
    return [[row.changed(weight=float(weight))] for row, weight in zip(rows, weights)]


def repeated(rows: Sequence[Row], is_hard: np.ndarray, copies: int, everything: Sequence[Row]) -> list[list[Row]]:
    """Each row, the hard ones (bool [N]) followed by copies, whose `repeat` no row of `everything` has."""
    free: dict[str, int] = {}  # by id the first `repeat` that no row has
    for row in everything:
        free[row.id] = max(free.get(row.id, 1), row.repeat + 1)
    out = []
    for row, hard in zip(rows, is_hard):
        numbers = range(free[row.id], free[row.id] + copies * hard)
        free[row.id] = numbers.stop
        out.append([row, *(row.changed(repeat=number) for number in numbers)])
    return out


def staying(
    rows: Sequence[Row], is_hard: np.ndarray, share: float | None, count: int | None, by_condition: bool, seed: int
) -> tuple[np.ndarray, str]:
    """Which of the training rows stay, bool [N], and in words how many of these are hard (bool [N]) where some were drawn.

    They are the hard ones; with a share, or a count of rows that are hard by a condition, they are drawn by whole groups.
    """
    if share is None and not (by_condition and count):
        return is_hard, ""
    stays = selection(is_hard, [row.group for row in rows], 1.0 if share is None else share, count, seed)
    return stays, f", {(is_hard & stays).sum()} of the {stays.sum()} that stay"


def selected(rows: Sequence[Row], stays: np.ndarray) -> list[list[Row]]:
    """The rows that stay (bool [N])."""
    return [[row] if stay else [] for row, stay in zip(rows, stays)]
