"""Confidence intervals of metrics: percentiles of resamples of whole groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from htltools.core.statistics.sample_metrics import Runs, SampleMetrics, runs_of

RESAMPLES = 2000
LEVEL = 0.95
CELLS = 2_000_000  # samples drawn at a time: bounds the memory and does not change the draws


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval, None where there is only one group to draw from.

    Of several runs the value is the mean of `runs`, and the interval that of the mean.
    """

    value: float
    low: float | None
    high: float | None
    runs: tuple[float, ...] = ()


def estimates(
    ours: Runs, groups: Sequence[str], baseline: Runs | None = None, *, seed: int, resamples: int = RESAMPLES
) -> dict[str, Estimate]:
    """Metrics by name with intervals, and with a baseline the paired differences as `<name>.delta`, ours minus baseline.

    ours, baseline: of two models on the same N samples. Of K runs each, they pair in their order: a metric is then the mean over
    runs, on the same draws. Metrics that only one side has are left out of the differences. groups: [N], what belongs together.

    Method: the percentile cluster bootstrap. As many groups as the data have are drawn with replacement, each with all its
    samples, and the interval runs from the 2.5th to the 97.5th percentile of the metrics of the draws. Both models are
    measured on the same draws, so what is hard for both cancels in the difference.

    Caution: with few groups (below about 30) percentile intervals come out too narrow; from two groups they are meaningless.
    They hold for patients like these and these models, and do not cover what another training seed would change, see `run_interval`.

    Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals); Field and
    Welsh, Bootstrapping clustered data, JRSS B 69, 2007 (drawing whole clusters, there the "cluster bootstrap").
    """
    models, others = runs_of(ours), [] if baseline is None else runs_of(baseline)
    count = len(models)
    values = [model.values() for model in [*models, *others]]  # per model, name: [1]
    draws = bootstrap_values([*models, *others], groups, seed, resamples)  # per model, name: [R]; empty where there is one group

    def known(name: str, side: Sequence[dict[str, np.ndarray]]) -> bool:
        return all(np.isfinite(own.get(name, np.nan)).all() for own in side)

    names = [name for name in values[0] if known(name, values[:count])]
    results = {name: estimate([own[name] for own in values[:count]], [own[name] for own in draws[:count]]) for name in names}
    for name in names if others else ():
        if known(name, values[count:]):
            differences, drawn = ([a[name] - b[name] for a, b in zip(each[:count], each[count:])] for each in (values, draws))
            results[f"{name}.delta"] = estimate(differences, drawn)
    return results


def estimate(values: Sequence[np.ndarray], draws: Sequence[np.ndarray]) -> Estimate:
    """The mean of the values of K runs, [1] each, with the interval of their draws, [R] each or none; draws of NaN do not count."""
    runs = tuple(float(value[0]) for value in values)
    mean = sum(runs) / len(runs)
    if not draws:
        return Estimate(mean, None, None, runs)
    low, high = np.nanquantile(np.mean(draws, 0), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(mean, float(low), float(high), runs)


def bootstrap_values(models: Sequence[SampleMetrics], groups: Sequence[str], seed: int, resamples: int) -> list[dict[str, np.ndarray]]:
    """Every metric by name in each of R draws, [R], for each model; no model where there is only one group."""
    if len(set(groups)) < 2:
        return []
    pieces = [[model.values(times) for model in models] for times in multiplicities(groups, seed, resamples)]
    return [{name: np.concatenate([piece[i][name] for piece in pieces]) for name in pieces[0][i]} for i in range(len(models))]


def multiplicities(groups: Sequence[str] | np.ndarray, seed: int, resamples: int) -> Iterator[np.ndarray]:
    """How often each of N samples is taken in each draw of groups: whole numbers [r, N], in pieces that add up to R draws."""
    names, member = np.unique(np.asarray(groups, str), return_inverse=True)  # [G], [N]
    generator = np.random.default_rng(seed)
    step = max(1, CELLS // len(member))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = generator.integers(len(names), size=(rows, len(names))) + np.arange(rows)[:, None] * len(names)
        counts = np.bincount(drawn.ravel(), minlength=rows * len(names)).reshape(rows, len(names))
        yield counts[:, member]


def run_interval(runs: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean over K runs that differ by seed, K >= 2, by Student's t; of two runs it is very wide.

    >>> [round(end, 3) for end in run_interval([0.01, 0.02, 0.03])]
    [-0.005, 0.045]
    """
    from scipy.stats import sem, t

    mean, error = float(np.mean(runs)), float(sem(runs))
    low, high = t.interval(LEVEL, len(runs) - 1, mean, error) if error > 0 else (mean, mean)
    return float(low), float(high)
