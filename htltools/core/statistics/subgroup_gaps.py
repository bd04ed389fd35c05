"""Gaps between subgroups: the best and the worst level by each metric, their distance, and whether chance makes such a distance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from htltools.core.statistics.cluster_bootstrap import CELLS, RESAMPLES, Estimate, estimate, multiplicities
from htltools.core.statistics.iou_metrics import LOWER_IS_BETTER
from htltools.core.statistics.sample_metrics import Runs, SampleMetrics, runs_of

PERMUTATIONS = 1000


@dataclass(frozen=True)
class Gap:
    """The best and the worst level by a metric, their distance (0 or more), and the p of a permutation test of it."""

    best: int
    worst: int
    distance: Estimate
    p: float


@dataclass(frozen=True)
class GapChange:
    """The gap of a baseline, and differences to it, ours minus baseline: of the distance, and of the values of the worst levels."""

    before: Gap
    distance: Estimate
    worst: Estimate
    worst_before: float


def subgroup_gaps(
    ours: Runs, level: np.ndarray, groups: Sequence[str], baseline: Runs | None = None, *, seed: int, resamples: int = RESAMPLES
) -> dict[str, tuple[Gap, GapChange | None]]:
    """The gap between the best and the worst of L levels by each metric that all have, and with a baseline how it changed.

    Metrics of single classes of objects, CLASS/METRIC, have none.

    ours, baseline: K runs each on N samples; metrics are means over runs. level: int [N], 0 to L - 1, L >= 2. groups: [N].

    Intervals are those of `cluster_bootstrap`, of the levels with the best and the worst value. They do not account for this choice,
    and so never hold a gap of 0: go by p.

    p: the share of permutations whose largest distance between any two levels is no smaller, (1 + count) / (1 + permutations).
    Levels are permuted among whole units, the samples of one group and one level, so that images of one patient stay together.

    Reference: Phipson and Smyth, Permutation p-values should never be zero, SAGMB 9, 2010.
    """
    count = level.max() + 1
    models = [runs_of(ours)] if baseline is None else [runs_of(ours), runs_of(baseline)]
    once = np.ones((1, len(level)), int)
    values = [level_values(runs, level, once, count) for runs in models]  # per model, name: [L, 1]
    pieces = [[level_values(runs, level, times, count) for runs in models] for times in multiplicities(groups, seed, resamples)]
    draws = [{name: np.concatenate([piece[i][name] for piece in pieces], 1) for name in values[0]} for i in range(len(models))]
    permuted = [permuted_distances(runs, level, groups, seed) for runs in models]  # per model, name: [P]
    gaps: dict[str, tuple[Gap, GapChange | None]] = {}
    for name in (name for name in values[0] if "/" not in name and all(np.isfinite(own.get(name, np.nan)).all() for own in values)):
        now, *before = (gap_of(name, own[name], drawn[name], chance[name]) for own, drawn, chance in zip(values, draws, permuted))
        change = None
        if before:
            sources = [(values[0][name], values[1][name]), (draws[0][name], draws[1][name])]
            distance, distance_draws = (gap_values(name, now, own) - gap_values(name, before[0], other) for own, other in sources)
            worst, worst_draws = (own[now.worst] - other[before[0].worst] for own, other in sources)
            worst_before = float(values[1][name][before[0].worst, 0])
            change = GapChange(before[0], estimate([distance], [distance_draws]), estimate([worst], [worst_draws]), worst_before)
        gaps[name] = now, change
    return gaps


def level_values(runs: Sequence[SampleMetrics], level: np.ndarray, times: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Every metric by level in R draws, mean over K runs: [L, R] by name; NaN where a draw has no sample of a level."""
    by_level: dict[str, list[np.ndarray]] = {}
    for each in range(count):
        inside = times[:, level == each]  # [R, n]
        empty = inside.sum(1) == 0
        inside = np.where(empty[:, None], 1, inside)
        values = [run.at(np.flatnonzero(level == each)).values(inside) for run in runs]
        for name in values[0]:
            by_level.setdefault(name, []).append(np.where(empty, np.nan, np.mean([own[name] for own in values], 0)))
    return {name: np.array(values) for name, values in by_level.items()}


def permuted_distances(runs: Sequence[SampleMetrics], level: np.ndarray, groups: Sequence[str], seed: int) -> dict[str, np.ndarray]:
    """The largest distance between two levels by each metric, [P] by name, for levels assigned by chance."""
    count, pieces = level.max() + 1, []
    for permuted in permutations(level, groups, seed):
        by_level = [[run.values((permuted == each).astype(int)) for run in runs] for each in range(count)]
        means = {name: np.array([np.mean([own[name] for own in values], 0) for values in by_level]) for name in by_level[0][0]}
        pieces.append({name: np.ptp(values, 0) for name, values in means.items()})
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def permutations(level: np.ndarray, groups: Sequence[str], seed: int) -> Iterator[np.ndarray]:
    """Levels permuted among units of one group and one level: int [p, N], in pieces that add up to all permutations."""
    pairs = np.column_stack([np.unique(np.asarray(groups, str), return_inverse=True)[1], level])
    units, member = np.unique(pairs, axis=0, return_inverse=True)  # [U, 2], [N]
    generator = np.random.default_rng(seed)
    step = max(1, CELLS // len(level))
    for start in range(0, PERMUTATIONS, step):
        rows = np.tile(units[:, 1], (min(step, PERMUTATIONS - start), 1))
        yield generator.permuted(rows, axis=1)[:, member.ravel()]


def gap_of(name: str, values: np.ndarray, draws: np.ndarray, permuted: np.ndarray) -> Gap:
    """The gap by a metric, from its values by level [L, 1], those of draws [L, R], and the distances of permutations [P]."""
    low, high = int(values[:, 0].argmin()), int(values[:, 0].argmax())
    best, worst = (low, high) if name in LOWER_IS_BETTER else (high, low)
    distance = estimate([values[high] - values[low]], [draws[high] - draws[low]])
    p = (1 + (permuted >= distance.value - 1e-12).sum()) / (1 + len(permuted))
    return Gap(best, worst, distance, float(p))


def gap_values(name: str, gap: Gap, values: np.ndarray) -> np.ndarray:
    """The distance between the levels of a gap, in values [L, R] of its metric: [R], positive where the best is better."""
    distance = values[gap.best] - values[gap.worst]
    return -distance if name in LOWER_IS_BETTER else distance
