"""A threshold of doubt with a promise: what lies above it is referred to a person, and few of the others fail.

The promise is about groups, such as patients, that can be exchanged with those of the calibration: of the samples of a new group, the
share that fails and is not referred is at most `limit` in the mean over groups. Nothing is promised for groups of another kind.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log

import numpy as np

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Calibrated:
    """A threshold: samples of more doubt are referred. unreferred_failure_rate and refer_rate: on the calibration groups, in [0, 1]."""

    threshold: float
    unreferred_failure_rate: float
    refer_rate: float
    groups: int


@dataclass(frozen=True)
class ReferralMetrics:
    """Whether each of N samples fails and is referred, bool [N], and its group [N]: the rates are means over groups."""

    fails: np.ndarray
    referred: np.ndarray
    groups: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        """1 where a sample does not fail, else 0."""
        return 1.0 - self.fails

    def at(self, places: np.ndarray) -> "ReferralMetrics":
        """Those of some of the samples: int [n]."""
        return ReferralMetrics(self.fails[places], self.referred[places], self.groups[places])

    def values(self, times: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """`refer_rate` and `unreferred_failure_rate`, [R] each, where sample n is taken times[r, n] times; absent: each once, R = 1.

        >>> fails, referred = np.array([True, False, True]), np.array([False, False, True])
        >>> {name: rate.tolist() for name, rate in ReferralMetrics(fails, referred, np.array(["a", "a", "b"])).values().items()}
        {'refer_rate': [0.5], 'unreferred_failure_rate': [0.25]}
        """
        _, member, sizes = np.unique(np.asarray(self.groups, str), return_inverse=True, return_counts=True)
        weights = (np.ones((1, len(member))) if times is None else times) / sizes[member]
        rates = weights @ np.column_stack([self.referred, self.fails & ~self.referred]).astype(float) / weights.sum(1)[:, None]
        return dict(zip(("refer_rate", "unreferred_failure_rate"), rates.T))


def group_means(values: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """The mean of values [N] in each of G groups, in the order of their names: [G]."""
    _, member, sizes = np.unique(np.asarray(groups, str), return_inverse=True, return_counts=True)
    return np.bincount(member, np.asarray(values, float)) / sizes


def controlled_threshold(
    fails: np.ndarray, doubt: np.ndarray, groups: Sequence[str], limit: float, confidence: float | None = CONFIDENCE
) -> Calibrated | None:
    """The largest threshold of doubt that keeps the promise; None where the groups are too few, or fail too surely, for any.

    fails: bool [N]. doubt: [N], NaN = referred. groups: [N]. limit: in (0, 1). confidence: the promise holds for the mean over all groups
    with this probability over the choice of calibration groups; None: in the mean over such choices, which half of them may break.

    Method: the loss of a group is the share of its samples that fails and is not referred, which grows with the threshold. Without a
    confidence the conformal bound (sum of losses + 1) / (G + 1) must be at most `limit`; with one, the p-value of a mean loss above
    `limit`, binomial where every group is one sample, else by Hoeffding's and Bentkus' bounds, must be at most 1 - confidence.

    Reference: Angelopoulos, Bates, Fisch, Lei and Schuster, "Conformal risk control", ICLR 2024 (arXiv 2208.02814), equation (4), without a
    confidence; Bates et al., "Distribution-free, risk-controlling prediction sets", JACM 68, 2021 (arXiv 2101.02703), with one. Deviation:
    groups take the place of samples.

    >>> doubt = np.arange(1000) / 1000
    >>> found = controlled_threshold(doubt > 0.9, doubt, [str(i) for i in range(1000)], 0.05)
    >>> found.threshold, found.unreferred_failure_rate
    (0.938, 0.038)
    """
    known = ~np.isnan(doubt)
    names, member, sizes = np.unique(np.asarray(groups, str), return_inverse=True, return_counts=True)
    single, count = sizes.max() == 1, len(names)
    levels = np.unique(doubt[known])
    weight = np.where(fails & known, 1 / sizes[member], 0)  # what a sample adds to the sum of losses, once it is not referred
    totals = np.cumsum(np.bincount(np.searchsorted(levels, doubt[known]), weight[known], len(levels)))

    def breaks(place: int) -> bool:
        total = totals[place]
        if confidence is None:
            return (total + 1) / (count + 1) > limit
        return p_value(total / count, count, limit, single) > 1 - confidence

    place = bisect(range(len(levels)), False, key=breaks) - 1  # losses grow with the threshold, and so do bound and p-value
    if place < 0:
        return None
    best = levels[place], totals[place] / count
    referred = float(group_means(~(doubt <= best[0]), groups).mean())
    return Calibrated(float(best[0]), float(best[1]), referred, count)


def p_value(mean: float, count: int, limit: float, single: bool) -> float:
    """The chance of a mean loss of this or less among `count` groups whose expected loss is `limit` or more, at most; in [0, 1].

    single: whether losses are 0 or 1.
    """
    from scipy.stats import binom

    successes = binom.cdf(ceil(round(mean * count, 9)), count, limit)
    if single:
        return float(successes)
    inner = min(mean, limit)
    hoeffding = np.exp(-count * divergence(inner, limit))
    return float(min(hoeffding, np.e * successes))


def divergence(a: float, b: float) -> float:
    """The Kullback-Leibler divergence of Bernoulli(a) from Bernoulli(b), 0 < b < 1."""
    return (a * log(a / b) if a > 0 else 0.0) + ((1 - a) * log((1 - a) / (1 - b)) if a < 1 else 0.0)


def fewest_groups(limit: float, confidence: float | None = CONFIDENCE) -> int:
    """The number of groups below which no threshold keeps the promise, even where none of them fails.

    >>> fewest_groups(0.02), fewest_groups(0.02, None)
    (149, 49)
    """
    return ceil(1 / limit - 1) if confidence is None else ceil(log(1 - confidence) / log(1 - limit))
