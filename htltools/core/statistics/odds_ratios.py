"""Odds ratios of being hard by subgroup, crude and adjusted for other causes of hardness."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from htltools.core.statistics.cluster_bootstrap import LEVEL, RESAMPLES, multiplicities
from htltools.core.statistics.subgroups import FEW

EXPECTED = 5  # with fewer expected in a cell, chi-square is inaccurate: Cochran's rule


@dataclass(frozen=True)
class Odds:
    """An odds ratio of some samples against all others, its 95 % interval and p.

    value: 0 or more; above 1 = more often hard than the others. None, as the ends of the interval, where it is infinite or unknown.
    """

    value: float | None
    low: float | None
    high: float | None
    p: float | None


def odds(
    is_hard: np.ndarray, members: np.ndarray, groups: Sequence[str] | np.ndarray, *, seed: int, resamples: int = RESAMPLES
) -> list[Odds]:
    """The odds ratio of each of L subgroups, members bool [N, L], of being hard, bool [N], against all samples outside of it.

    p: Fisher's exact test, or chi-square (with Yates' correction) where at least 5 are expected in each cell. Both assume independent
    samples. The interval does not: it is the percentile cluster bootstrap of `cluster_bootstrap`, which draws whole groups [N];
    draws without an odds ratio, 0/0, do not count. Where all inside or all outside are of one group there is no interval.
    """
    counts = contingency_tables(np.ones((1, len(is_hard))), is_hard, members)[0]  # [L, 2, 2]
    value = ratios(counts)
    draws = np.concatenate(
        [ratios(contingency_tables(times, is_hard, members)) for times in multiplicities(groups, seed, resamples)]
    )  # [R, L]
    names = np.asarray(groups)
    one_group = [min(len(set(names[inside])), len(set(names[~inside]))) < 2 for inside in members.T]
    low, high = (np.where(one_group, np.nan, quantiles(draws, share)) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    p = [p_value(table) for table in counts.astype(int)]
    return [Odds(*map(finite, numbers)) for numbers in zip(value, low, high, p)]


def contingency_tables(times: np.ndarray, is_hard: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Counts in R draws, [R, L, 2, 2]: inside or outside of the subgroup, hard or not. times: [R, N], how often each sample is taken."""
    times, kinds = times.astype(float), np.column_stack([is_hard, ~is_hard]).astype(float)  # [R, N], [N, 2]
    inside = np.stack([times @ (members * kind[:, None]) for kind in kinds.T], -1)  # [R, L, 2]
    return np.stack([inside, (times @ kinds)[:, None] - inside], -2)


def ratios(counts: np.ndarray) -> np.ndarray:
    """Odds ratios of tables [..., 2, 2]: [...]; infinite where only the denominator is 0, NaN where both are.

    >>> ratios(np.array([[20, 80], [10, 90]]))
    np.float64(2.25)
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return counts[..., 0, 0] * counts[..., 1, 1] / (counts[..., 0, 1] * counts[..., 1, 0])


def quantiles(draws: np.ndarray, share: float) -> np.ndarray:
    """A quantile over R draws [R, L] that may be infinite, NaN left out: [L]. It is one of the draws, the outer neighbour."""
    known = [column[~np.isnan(column)] for column in draws.T]
    method: Literal["lower", "higher"] = "lower" if share < 0.5 else "higher"
    return np.array([np.quantile(column, share, method=method) if len(column) else np.nan for column in known])


def p_value(table: np.ndarray) -> float:
    """p of a table of counts [2, 2]; NaN where a row or a column of it is empty."""
    from scipy.stats import chi2_contingency, fisher_exact
    from scipy.stats.contingency import expected_freq

    if not (table.sum(0).all() and table.sum(1).all()):
        return np.nan
    return float(fisher_exact(table).pvalue if expected_freq(table).min() < EXPECTED else chi2_contingency(table).pvalue)


def adjusted_odds(
    is_hard: np.ndarray, member: np.ndarray, covariates: np.ndarray, classes: np.ndarray, groups: Sequence[str] | np.ndarray
) -> Odds:
    """The odds ratio of a subgroup, member bool [N], of being hard, at equal covariates [N, K] and equal class, int [N].

    Logistic regression, fitted by maximum likelihood; interval and p by Wald, with errors that are robust to groups [N].
    Classes of fewer than 30 samples count as one. A class of which all or none are hard carries no information: its samples are left
    out, as a fit would do by an infinite coefficient. All values are None for a subgroup of fewer than 30 samples, whose robust
    errors come out too small, and where the regression has no finite solution, as for a subgroup of which all or none are hard.

    Reference: Liang and Zeger, Longitudinal data analysis using generalized linear models, Biometrika 73, 1986 (robust errors).
    """
    from statsmodels.discrete.discrete_model import Logit
    from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationError, PerfectSeparationWarning

    used, indicators = class_indicators(is_hard, classes)
    hard, inside, names = is_hard[used], member[used], np.unique(np.asarray(groups)[used], return_inverse=True)[1]
    design = np.column_stack([inside, np.ones(used.sum()), covariates[used], indicators])
    design = design[:, design.any(0)]
    separate = any(len(set(hard[inside == side])) < 2 for side in (True, False))
    if member.sum() < FEW or separate or np.linalg.matrix_rank(design) < design.shape[1] or names.max() < design.shape[1]:
        return Odds(None, None, None, None)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):  # steps of a fit that diverges
            for kind in (ConvergenceWarning, PerfectSeparationWarning):
                warnings.simplefilter("error", kind)
            fit = Logit(hard.astype(float), design).fit(disp=False, maxiter=100, cov_type="cluster", cov_kwds={"groups": names})
    except (ConvergenceWarning, PerfectSeparationError, PerfectSeparationWarning, np.linalg.LinAlgError):
        return Odds(None, None, None, None)
    low, high = fit.conf_int(1 - LEVEL)[0]
    return Odds(*(finite(number) for number in (*np.exp([fit.params[0], low, high]), fit.pvalues[0])))


def class_indicators(is_hard: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The samples to use, bool [N], and of these the indicators of all classes but the first: float [n, classes - 1]."""
    sizes = np.bincount(classes)
    pooled = np.where(sizes[classes] < FEW, len(sizes), classes)
    used = np.ones(len(is_hard), bool)
    for each in np.unique(pooled):
        inside = pooled == each
        if len(set(is_hard[inside])) < 2:
            used &= ~inside
    kinds = np.unique(pooled[used])
    return used, (pooled[used, None] == kinds[1:]).astype(float)


def q_values(p: Sequence[float | None]) -> list[float | None]:
    """Benjamini and Hochberg's q of each p, in [0, 1]: the false discovery rate among all that have no larger p. None stays None.

    Reference: Benjamini and Hochberg, Controlling the false discovery rate, JRSS B 57, 1995.

    >>> [round(q, 4) for q in q_values([0.01, 0.04, 0.03, 0.5])]
    [0.04, 0.0533, 0.0533, 0.5]
    """
    from scipy.stats import false_discovery_control

    known = [i for i, each in enumerate(p) if each is not None]
    q: list[float | None] = [None] * len(p)
    if known:
        for i, value in zip(known, false_discovery_control([p[i] for i in known])):
            q[i] = float(value)
    return q


def finite(number: float) -> float | None:
    """The number, or None where it is infinite or NaN."""
    return float(number) if np.isfinite(number) else None
