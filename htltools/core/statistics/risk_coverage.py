"""Whether doubt tells which predictions fail: risk by coverage, and how well failures are told from the others.

The samples are answered in the order of their doubt, the least doubtful first; the risk of a sample is 1 - IoU. Samples of equal doubt
come in no order: every figure is its mean over all orders of them, so that no result depends on the order of rows.

Reference: Geifman and El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017 (arXiv 1705.08500), risk and coverage;
Geifman, Uziel and El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR 2019 (arXiv 1805.08206), AURC and its
excess. Deviation: 1 - IoU takes the place of the 0/1 loss, except where failures are named.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

COVERAGES = 0.95, 0.9, 0.8, 0.7
FAILURE_IOU = 0.5  # below it a prediction has failed


@dataclass(frozen=True)
class DoubtMetrics:
    """The IoU and the doubt of N samples, [N] each; IoU NaN = missed, which counts as 0. A prediction fails below `failure_iou`."""

    iou: np.ndarray
    doubt: np.ndarray
    failure_iou: float = FAILURE_IOU

    def at(self, places: np.ndarray) -> "DoubtMetrics":
        """Those of some of the samples: int [n]."""
        return DoubtMetrics(self.iou[places], self.doubt[places], self.failure_iou)

    def values(self, times: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Every metric by name, [R], where sample n is taken times[r, n] times; absent: each once, R = 1."""
        return doubt_values(np.nan_to_num(self.iou), self.doubt, self.failure_iou, times)

    def ideal(self) -> "DoubtMetrics":
        """The same samples in the best order there is, which only the annotation knows."""
        return DoubtMetrics(self.iou, 1 - np.nan_to_num(self.iou), self.failure_iou)

    def random(self) -> "DoubtMetrics":
        """The same samples in no order: the mean over all orders."""
        return DoubtMetrics(self.iou, np.zeros(len(self.iou)), self.failure_iou)


def doubt_values(iou: np.ndarray, doubt: np.ndarray, failure_iou: float, times: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The metrics of `vocabulary.DOUBT` by name, float [R] each.

    iou, doubt: [N], without NaN. times: whole numbers [R, N], how often each sample is taken; absent: each once, R = 1. `failure_auroc` is
    NaN where no sample fails, or every one.

    >>> found = doubt_values(np.array([1.0, 0.8, 0.0]), np.array([0.1, 0.2, 0.9]), 0.5)
    >>> {name: values.round(3).tolist() for name, values in found.items() if name in ("aurc", "e_aurc", "failure_auroc")}
    {'aurc': [0.167], 'e_aurc': [0.0], 'failure_auroc': [1.0]}
    """
    times = np.ones((1, len(iou)), np.int64) if times is None else times
    risk, fails = 1 - iou, (iou < failure_iou).astype(float)
    counts, (risks, failures) = by_level(doubt, times, [risk, fails])
    best_counts, (best_risks,) = by_level(risk, times, [risk])
    aurc = area_under_curve(counts, risks)
    values = {
        "aurc": aurc,
        "e_aurc": (aurc - area_under_curve(best_counts, best_risks)).clip(0),
        "failure_auroc": auroc(counts, failures),
    }
    for coverage in COVERAGES:
        answered = coverage * counts.sum(1)
        values[f"selective_iou@{coverage:g}"] = 1 - sum_of_first(counts, risks, answered) / answered
        values[f"selective_failure_rate@{coverage:g}"] = sum_of_first(counts, failures, answered) / answered
    return values


def by_level(order: np.ndarray, times: np.ndarray, amounts: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Samples by level of `order` [N], lowest first: their number [R, L], and the sum of each amount [N] over them, [R, L]."""
    first, level = np.unique(order, return_inverse=True)
    place = np.argsort(level, kind="stable")
    starts = np.searchsorted(level[place], np.arange(len(first)))
    ordered = times[:, place]
    return np.add.reduceat(ordered, starts, 1), [np.add.reduceat(ordered * amount[place], starts, 1) for amount in amounts]


def area_under_curve(counts: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """The mean over k = 1 .. n of the mean of the first k samples: [R]; counts and sums of amounts by level [R, L], see `by_level`.

    Within a level of m samples of mean a, after k0 samples of sum S0, the mean of the first k0 + j is (S0 + j a) / (k0 + j) over all
    orders, so that their sum over j is (S0 - k0 a) (H(k0 + m) - H(k0)) + m a, with the harmonic numbers H.
    """
    after, total = counts.cumsum(1), sums.cumsum(1)
    before, sum_before = after - counts, total - sums
    harmonic = np.concatenate([[0], np.cumsum(1 / np.arange(1, after[:, -1].max() + 1))])
    mean = np.divide(sums, counts, out=np.zeros_like(sums, float), where=counts > 0)
    return ((sum_before - before * mean) * (harmonic[after] - harmonic[before]) + sums).sum(1) / after[:, -1]


def auroc(counts: np.ndarray, failures: np.ndarray) -> np.ndarray:
    """The chance that a sample that fails is in a higher level than one that does not, a tie counting half: [R] in [0, 1].

    counts, failures: all samples and those that fail by level, [R, L]. NaN where there is none of either kind.

    Reference: Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve", Radiology
    143, 1982.
    """
    right = counts - failures
    won = (failures * (right.cumsum(1) - right / 2)).sum(1)
    pairs = failures.sum(1) * right.sum(1)
    return np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)


def sum_of_first(counts: np.ndarray, sums: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The sum over the first `wanted` [R] samples, also a part of one: [R]. Of a level that is cut, its share: the mean over all orders."""
    after = counts.cumsum(1)
    taken = (wanted[:, None] - (after - counts)).clip(0, counts)  # [R, L]
    return (np.divide(taken, counts, out=np.zeros(counts.shape), where=counts > 0) * sums).sum(1)


def risk_curve(iou: np.ndarray, doubt: np.ndarray, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and the mean of 1 - IoU among the answered samples, [points] each, for a plot; iou [N] without NaN, doubt [N]."""
    counts, (risks,) = by_level(doubt, np.ones((1, len(iou)), np.int64), [1 - iou])
    coverage = np.linspace(1 / len(iou), 1, points)
    return coverage, np.array([sum_of_first(counts, risks, np.array([share * len(iou)]))[0] / (share * len(iou)) for share in coverage])
