"""What becomes of the training rows in each mode: for each of them the rows that are written in its place."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Resampled:
    """What becomes of N rows: how often each is written, int [N], 0 = not at all, and its new weight, float [N], NaN = as it is."""

    counts: np.ndarray
    weights: np.ndarray

    @classmethod
    def of_training(
        cls, total: int, touched: np.ndarray, places: np.ndarray, counts: np.ndarray, weights: np.ndarray, *, alone: bool
    ) -> "Resampled":
        """Of `total` rows those at `places` get counts and weights, others that are `touched` go, and the rest stays unless `alone`."""
        everywhere = np.full(total, 0 if alone else 1)
        everywhere[touched] = 0
        everywhere[places] = counts
        new = np.full(total, np.nan)
        new[places] = weights
        return cls(everywhere, new)

    def rows(self, rows: Sequence[Row], marked: Iterable[Row] | None = None) -> Iterator[Row]:
        """The rows that are written, each copy with a `repeat` that no row has. marked: the rows, changed already."""
        free: dict[str, int] = {}  # by id the first `repeat` that no row has, of those that have one: others begin with 1
        if self.counts.max(initial=0) > 1:
            for row in rows:
                if row.repeat:
                    free[row.id] = max(free.get(row.id, 1), row.repeat + 1)
        for row, count, weight in zip(rows if marked is None else marked, self.counts, self.weights):
            if not count:
                continue
            changed = row if np.isnan(weight) else row.changed(weight=float(weight))
            yield changed
            first = free.get(row.id, 1)
            yield from (changed.changed(repeat=number) for number in range(first, first + int(count) - 1))
            if row.id in free:
                free[row.id] = first + int(count) - 1
