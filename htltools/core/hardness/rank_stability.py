"""Rank stability: how alike several models rank the same samples."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np


class Stability:
    """Gathers hardness by model, batch by batch: four bytes for each sample, column and model."""

    def __init__(self) -> None:
        self.batches: list[dict[str, np.ndarray]] = []
        self.splits: list[str] = []

    def add(self, columns: dict[str, np.ndarray], splits: Sequence[str]) -> None:
        """Add a batch of B samples: columns [K, B] of K models (NaN where a model is not eligible for a sample), and their splits [B]."""
        self.batches.append({name: values.astype(np.float32) for name, values in columns.items()})
        self.splits += splits

    def join(self, later: "Stability") -> None:
        """Add what was gathered of the samples that follow."""
        self.batches += later.batches
        self.splits += later.splits

    def correlations(self) -> dict[str, dict[str, float]]:
        """Mean rank correlation over all pairs of models, in [-1, 1], by column and split; NaN for too few samples.

        Columns of a single model are left out.
        """
        correlations: dict[str, dict[str, float]] = {}
        splits = np.array(self.splits)
        for name in self.batches[0]:
            values = np.concatenate([batch[name] for batch in self.batches], 1)
            if len(values) > 1:
                correlations[name] = {split: mean_correlation(values[:, splits == split]) for split in dict.fromkeys(self.splits)}
        return correlations


def mean_correlation(values: np.ndarray) -> float:
    """Mean Spearman correlation over all pairs of K models, values [K, N]: in [-1, 1]; NaN where no pair has one."""
    correlations = np.array([rank_correlation(one, other) for one, other in combinations(values, 2)])
    known = correlations[~np.isnan(correlations)]
    return float(known.mean()) if len(known) else float("nan")


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation of a and b [N] over the places where both are known, in [-1, 1]; 1 = the same order.

    NaN where either is constant, or fewer than three places are left. Equal values share their mean rank.

    >>> rank_correlation(np.array([0.1, 0.2, 0.3, np.nan]), np.array([5, 7, 6, 1]))
    0.5
    """
    from scipy.stats import spearmanr

    known = ~(np.isnan(a) | np.isnan(b))
    a, b = a[known], b[known]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(spearmanr(a, b).statistic)


def correlation_interval(correlation: float, count: int) -> tuple[float, float]:
    """The 95 % interval of Spearman's correlation of `count` independent samples, four or more: two of [-1, 1].

    Reference: Fieller, Hartley and Pearson, Biometrika 44, 1957: Fisher's z of it has a variance of 1.06 / (n - 3), near
    enough for correlations below 0.8. For samples in groups, `count` is that of the groups: wide rather than narrow.

    >>> [round(edge, 3) for edge in correlation_interval(0.5, 103)]
    [0.334, 0.636]
    """
    reach = 1.96 * (1.06 / (count - 3)) ** 0.5
    z = np.arctanh(np.clip(correlation, -1 + 1e-12, 1 - 1e-12))
    return float(np.tanh(z - reach)), float(np.tanh(z + reach))
