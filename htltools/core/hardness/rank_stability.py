"""Stability: how alike several models rank the same samples. Pure numpy."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np


class Stability:
    """Gathers columns of hardness by model, batch by batch: four bytes for each sample, column and model."""

    def __init__(self):
        self.batches: list[dict[str, np.ndarray]] = []
        self.parts: list[str] = []

    def add(self, columns: dict[str, np.ndarray], parts: Sequence[str]) -> None:
        """Take in a batch of B samples: [K, B] by column for K models (NaN where one has no say), and the part of the data of each."""
        self.batches.append({name: values.astype(np.float32) for name, values in columns.items()})
        self.parts += parts

    def correlations(self) -> dict[str, dict[str, float]]:
        """Mean rank correlation over all pairs of models, in [-1, 1], by column and part; NaN for too few samples.

        Columns of a single model are left out.
        """
        found: dict[str, dict[str, float]] = {}
        parts = np.array(self.parts)
        for name in self.batches[0]:
            values = np.concatenate([batch[name] for batch in self.batches], 1)
            if len(values) > 1:
                found[name] = {part: mean_correlation(values[:, parts == part]) for part in dict.fromkeys(self.parts)}
        return found


def mean_correlation(values: np.ndarray) -> float:
    """Mean Spearman correlation over all pairs of K models, values [K, N]: in [-1, 1]; NaN where no pair has one."""
    found = np.array([rank_correlation(one, other) for one, other in combinations(values, 2)])
    known = found[~np.isnan(found)]
    return float(known.mean()) if len(known) else float("nan")


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation of a and b [N] over the places where both are there, in [-1, 1]; 1 = the same order.

    NaN where either is constant, or fewer than three places are left. Equal values share their mean rank.

    >>> rank_correlation(np.array([0.1, 0.2, 0.3, np.nan]), np.array([5, 7, 6, 1]))
    0.5
    """
    there = ~(np.isnan(a) | np.isnan(b))
    if there.sum() < 3:
        return float("nan")
    first, second = (ranks - ranks.mean() for ranks in (mean_ranks(a[there]), mean_ranks(b[there])))
    length = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / length) if length else float("nan")


def correlation_interval(correlation: float, count: int) -> tuple[float, float]:
    """The 95 % interval of Spearman's correlation of `count` independent samples, four or more: two of [-1, 1].

    Reference: Fieller, Hartley and Pearson, Biometrika 44, 1957: Fisher's z of it has a variance of 1.06 / (n - 3), near
    enough for correlations below 0.8. For samples in groups, `count` is that of the groups: wide rather than narrow.

    >>> [round(edge, 3) for edge in correlation_interval(0.5, 103)]
    [0.334, 0.636]
    """
    reach = 1.96 * (1.06 / (count - 3)) ** 0.5
    return tuple(float(np.tanh(np.arctanh(np.clip(correlation, -1 + 1e-12, 1 - 1e-12)) + way * reach)) for way in (-1, 1))


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """Rank of each value [N], from 1; equal ones share the mean of theirs.

    >>> mean_ranks(np.array([3, 1, 3]))
    array([2.5, 1. , 2.5])
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (count.cumsum() - (count - 1) / 2)[place]
