"""Prediction spread: whether a model answers images differently, or all of them with one constant prediction."""

from collections.abc import Callable

import numpy as np

CONSTANT = 0.005  # mean distance up to which predictions are one constant: half a percent of the image's sides
FEWEST = 10  # predictions, below which nothing is concluded
ENOUGH = 1000  # predictions, after which a model that answers differently is no longer watched


class PredictionSpread:
    """Gathers the predictions of one model, batch by batch, and compares each with the one before it.

    `distance`: of N predictions [N, ...] and N others, [N] in [0, 1], 0 = the same (`Comparison.distance`).
    """

    def __init__(self, distance: Callable[[np.ndarray, np.ndarray], np.ndarray]):
        self.distance = distance
        self.total, self.count = 0.0, 0
        self.first: np.ndarray | None = None  # [1, ...]
        self.last: np.ndarray | None = None  # [1, ...]

    def add(self, predictions: np.ndarray) -> None:
        """Add the predictions of a batch, [B, ...]; those of NaN are none, and are left out."""
        if self.count >= ENOUGH and not self.is_constant:
            return
        there = predictions[~np.isnan(predictions.reshape(len(predictions), -1)).any(1)]
        if not len(there):
            return
        batch = PredictionSpread(self.distance)
        batch.first, batch.last, batch.count = there[:1], there[-1:], len(there)
        batch.total = float(self.distance(there[:-1], there[1:]).sum()) if len(there) > 1 else 0.0
        self.join(batch)

    def join(self, later: "PredictionSpread") -> None:
        """Add what was gathered of the predictions that follow."""
        if later.first is None or (self.count >= ENOUGH and not self.is_constant):
            return
        if self.last is not None:  # a pair apart: batches of objects may have places for more or fewer of them
            self.total += float(self.distance(self.last, later.first).sum())
        self.first = later.first if self.first is None else self.first
        self.total, self.count, self.last = self.total + later.total, self.count + later.count, later.last

    @property
    def value(self) -> float | None:
        """Mean distance of successive predictions, in [0, 1]; 0 = all the same, None for fewer than FEWEST.

        >>> spread = PredictionSpread(lambda one, other: np.abs(one - other).mean(-1))
        >>> spread.add(np.tile([[0.2, 0.2, 0.4, 0.4], [0.3, 0.2, 0.5, 0.4]], (10, 1)))
        >>> round(spread.value, 3), spread.is_constant
        (0.05, False)
        """
        return self.total / (self.count - 1) if self.count >= FEWEST else None

    @property
    def is_constant(self) -> bool:
        """Whether enough predictions are known, and all are one, to CONSTANT."""
        return self.value is not None and self.value <= CONSTANT
