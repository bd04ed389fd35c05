"""Fairness: the worst subgroup by each metric, how far it is from the best, and whether chance makes such gaps."""

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
class Change:
    """The gap of another model, and what became of it: ours minus theirs, of the distance and of the value of the worst level."""

    before: Gap
    distance: Estimate
    worst: Estimate
    worst_before: float


def fairness(
    ours: Runs, level: np.ndarray, groups: Sequence[str], against: Runs | None = None, *, seed: int, resamples: int = RESAMPLES
) -> dict[str, tuple[Gap, Change | None]]:
    """The gap between the best and the worst of L levels by each metric, and with `against` how it changed.

    ours, against: K runs on N samples each; metrics are means over them. level: int [N], 0 to L - 1, L >= 2. groups: [N].

    Intervals are those of `core.bootstrap`, for the levels that came out best and worst; that these were chosen after looking is
    not in them, so a gap is never found to be 0: go by p.

    p: the share of permutations whose largest distance between any two levels is no smaller, (1 + count) / (1 + permutations).
    What is dealt anew is the level of whole units, the samples of one group and one level, so that images of one patient stay together.

    Reference: Phipson and Smyth, Permutation p-values should never be zero, SAGMB 9, 2010.
    """
    count = level.max() + 1
    models = [runs_of(ours)] if against is None else [runs_of(ours), runs_of(against)]
    once = np.ones((1, len(level)), int)
    values = [level_values(runs, level, once, count) for runs in models]  # per model, name: [L, 1]
    pieces = [[level_values(runs, level, times, count) for runs in models] for times in multiplicities(groups, seed, resamples)]
    draws = [{name: np.concatenate([piece[i][name] for piece in pieces], 1) for name in values[0]} for i in range(len(models))]
    chance = [chance_distances(runs, level, groups, seed) for runs in models]  # per model, name: [P]
    found = {}
    for name in (name for name in values[0] if all(name in each for each in values)):
        gaps = [gap(name, *of_model) for of_model in zip(*([of[name] for of in each] for each in (values, draws, chance)))]
        found[name] = gaps[0], None
        if against is not None:
            apart, worst = (
                [[of_gap(name, each, of[name]) for each, of in zip(gaps, source)] for source in (values, draws)]
                for of_gap in (between, worst_of)
            )
            distance, lowest = (estimate([ours - theirs], [now - then]) for (ours, theirs), (now, then) in (apart, worst))
            found[name] = gaps[0], Change(gaps[1], distance, lowest, float(worst[0][1][0]))
    return found


def level_values(models: Sequence[SampleMetrics], level: np.ndarray, times: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Every metric by level in R draws, mean over K runs: [L, R] by name; NaN where a draw has none of a level."""
    found: dict[str, list[np.ndarray]] = {}
    for each in range(count):
        inside = times[:, level == each]  # [R, n]
        empty = inside.sum(1) == 0
        inside = np.where(empty[:, None], 1, inside)
        runs = [run.at(np.flatnonzero(level == each)).values(inside) for run in models]
        for name in runs[0]:
            found.setdefault(name, []).append(np.where(empty, np.nan, np.mean([run[name] for run in runs], 0)))
    return {name: np.array(values) for name, values in found.items()}


def chance_distances(models: Sequence[SampleMetrics], level: np.ndarray, groups: Sequence[str], seed: int) -> dict[str, np.ndarray]:
    """The largest distance between two levels by each metric, [P] by name, where levels are dealt by chance."""
    count, pieces = level.max() + 1, []
    for dealt in permutations(level, groups, seed):
        by_level = [[run.values((dealt == each).astype(int)) for run in models] for each in range(count)]
        means = {name: np.array([np.mean([run[name] for run in runs], 0) for runs in by_level]) for name in by_level[0][0]}
        pieces.append({name: np.ptp(values, 0) for name, values in means.items()})
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def permutations(level: np.ndarray, groups: Sequence[str], seed: int) -> Iterator[np.ndarray]:
    """Levels dealt anew to units of one group and one level: int [p, N], in pieces that add up to all permutations."""
    pairs = np.column_stack([np.unique(np.asarray(groups, str), return_inverse=True)[1], level])
    units, member = np.unique(pairs, axis=0, return_inverse=True)  # [U, 2], [N]
    generator = np.random.default_rng(seed)
    step = max(1, CELLS // len(level))
    for start in range(0, PERMUTATIONS, step):
        rows = np.tile(units[:, 1], (min(step, PERMUTATIONS - start), 1))
        yield generator.permuted(rows, axis=1)[:, member.ravel()]


def gap(name: str, values: np.ndarray, draws: np.ndarray, chance: np.ndarray) -> Gap:
    """The gap by a metric, from its values by level [L, 1], those in draws [L, R], and distances by chance [P]."""
    low, high = int(values[:, 0].argmin()), int(values[:, 0].argmax())
    best, worst = (low, high) if name in LOWER_IS_BETTER else (high, low)
    distance = estimate([values[high] - values[low]], [draws[high] - draws[low]])
    p = (1 + (chance >= distance.value - 1e-12).sum()) / (1 + len(chance))
    return Gap(best, worst, distance, float(p))


def between(name: str, found: Gap, values: np.ndarray) -> np.ndarray:
    """The distance between the two levels of a gap, in values [L, R] of its metric: [R], positive where it lies as it was found."""
    distance = values[found.best] - values[found.worst]
    return -distance if name in LOWER_IS_BETTER else distance


def worst_of(name: str, found: Gap, values: np.ndarray) -> np.ndarray:
    """The values of the worst level of a gap, in values [L, R] of its metric: [R]."""
    return values[found.worst]
