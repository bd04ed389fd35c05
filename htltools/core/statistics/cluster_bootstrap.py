"""How sure a metric is: percentile intervals from resampling whole groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from htltools.core.statistics.sample_metrics import Runs, SampleMetrics, runs_of

RESAMPLES = 2000
LEVEL = 0.95
CELLS = 2_000_000  # samples drawn at a time: bounds the memory; the draws are the same


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval; the interval is None where there is but one group to draw from.

    Of several runs the value is the mean of `runs`, and the interval that of the mean.
    """

    value: float
    low: float | None
    high: float | None
    runs: tuple[float, ...] = ()


def estimates(
    ours: Runs, groups: Sequence[str], against: Runs | None = None, *, seed: int, resamples: int = RESAMPLES
) -> dict[str, Estimate]:
    """Metrics by name with intervals, and with `against` the paired differences as `<name>.delta`, ours minus theirs.

    ours, against: of two models on the same N samples. Of K runs each, they pair in their order: a metric is then the mean over
    runs, on the same draws. Metrics that only one side has are left out of the differences. groups: [N], what belongs together.

    Method: the percentile cluster bootstrap. As many groups as there are get drawn with replacement, each with all its
    samples, and the interval runs from the 2.5th to the 97.5th percentile of the metrics of the draws. Both models are
    measured on the same draws, so what is hard for both cancels in the difference.

    Caution: with few groups (below about 30) percentile intervals come out too narrow; two groups say next to nothing.
    They hold for patients like these and these models: what another training seed would change is not in them, see `run_interval`.

    Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals); Field and
    Welsh, Bootstrapping clustered data, JRSS B 69, 2007 (drawing whole clusters, there the "cluster bootstrap").
    """
    models = runs_of(ours)
    count = len(models)
    models = models if against is None else [*models, *runs_of(against)]
    values = [each.values() for each in models]  # per model, name: [1]
    draws = resampled(models, groups, seed, resamples)  # per model, name: [R]
    shared = [name for name in values[0] if all(np.isfinite(each.get(name, np.nan)).all() for each in values[:count])]
    found = {name: estimate([each[name] for each in values[:count]], [each.get(name) for each in draws[:count]]) for name in shared}
    if against is not None:
        for name in (name for name in shared if all(np.isfinite(each.get(name, np.nan)).all() for each in values[count:])):
            apart = [ours[name] - theirs[name] for ours, theirs in zip(values[:count], values[count:])]
            drawn = [ours[name] - theirs[name] if ours else None for ours, theirs in zip(draws[:count], draws[count:])]
            found[f"{name}.delta"] = estimate(apart, drawn)
    return found


def estimate(values: Sequence[np.ndarray], draws: Sequence[np.ndarray | None]) -> Estimate:
    """The mean of the values of K runs, [1] each, with the interval that their draws [R] give; draws that are NaN do not count."""
    runs = tuple(float(value[0]) for value in values)
    if draws[0] is None:
        return Estimate(sum(runs) / len(runs), None, None, runs)
    low, high = np.nanquantile(np.mean(draws, 0), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(sum(runs) / len(runs), float(low), float(high), runs)


def resampled(models: Sequence[SampleMetrics], groups: Sequence[str], seed: int, resamples: int) -> list[dict[str, np.ndarray]]:
    """For each model, every metric by name in each of R draws, [R]; nothing where there is only one group."""
    if len(set(groups)) < 2:
        return [{} for _ in models]
    pieces = [[each.values(times) for each in models] for times in multiplicities(groups, seed, resamples)]
    return [{name: np.concatenate([piece[i][name] for piece in pieces]) for name in pieces[0][i]} for i in range(len(models))]


def multiplicities(groups: Sequence[str], seed: int, resamples: int) -> Iterator[np.ndarray]:
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
    return tuple(map(float, t.interval(LEVEL, len(runs) - 1, mean, error))) if error > 0 else (mean, mean)
