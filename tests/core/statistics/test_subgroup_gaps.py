"""Gaps between the best and the worst subgroup."""

import numpy as np
import pytest
from scipy.stats import permutation_test

from htltools.core.statistics.subgroup_gaps import subgroup_gaps


def alone(count):
    """Every sample in a group of its own."""
    return [f"g{i}" for i in range(count)]


def test_equal_levels_have_no_gap():
    """Two levels with the very same IoUs have no gap, and every permutation has as large a one: p = 1."""
    gap, change = subgroup_gaps(np.tile([0.2, 0.8], 40)[None], np.repeat([0, 1], 40), alone(80), seed=0)["iou_mean"]
    assert (gap.distance.value, gap.p, change) == (pytest.approx(0), 1, None)


def test_a_difference_that_chance_does_not_make():
    """Where one level is always worse, no permutation has such a distance: the smallest p there is, 1 / 1001."""
    gaps = subgroup_gaps(np.repeat([0.05, 0.85, 0.9], 30)[None], np.repeat([0, 1, 2], 30), alone(90), seed=0, resamples=50)
    gap = gaps["iou_mean"][0]
    assert (gap.worst, gap.best, gap.distance.value, gap.p) == (0, 2, pytest.approx(0.85), pytest.approx(1 / 1001))
    assert (gaps["failure_rate"][0].worst, gaps["failure_rate"][0].distance.value) == (0, 1)


def test_p_is_that_of_scipy():
    """With one sample a group, p is that of scipy's permutation test of the distance of two means, to the noise of 1,000 permutations."""
    iou, level = np.random.default_rng(0).random(80), np.repeat([0, 1], 40)
    iou[:40] *= 0.8
    gap = subgroup_gaps(iou[None], level, alone(80), seed=0, resamples=50)["iou_mean"][0]
    theirs = permutation_test((iou[:40], iou[40:]), lambda a, b: abs(a.mean() - b.mean()), alternative="greater", rng=1)
    assert gap.p == pytest.approx(theirs.pvalue, abs=0.04)
    assert 0.01 < gap.p < 0.6


def test_images_of_a_patient_stay_together():
    """Ten images of each of eight patients are eight units: p is that of all 70 assignments of patients, not that of 80 samples."""
    of_patient = np.array([0.3, 0.5, 0.4, 0.6, 0.7, 0.55, 0.8, 0.5])
    level = np.repeat([0, 1], 40)
    gap = subgroup_gaps(of_patient.repeat(10)[None], level, np.repeat(alone(8), 10), seed=0, resamples=50)["iou_mean"][0]
    exact = permutation_test((of_patient[:4], of_patient[4:]), lambda a, b: abs(a.mean() - b.mean()), alternative="greater")
    assert gap.p == pytest.approx(exact.pvalue, abs=0.04)
    assert gap.p > 0.05


def test_a_gap_changes_from_the_baseline():
    """In the baseline level 0 is .2 behind, now level 1 is .1 behind: the gap is .1 smaller, and the worst level .1 better."""
    before, now = np.repeat([0.4, 0.6], 40), np.repeat([0.6, 0.5], 40)
    gap, change = subgroup_gaps(now[None], np.repeat([0, 1], 40), alone(80), before[None], seed=0, resamples=50)["iou_mean"]
    assert (gap.worst, change.before.worst, change.worst_before) == (1, 0, pytest.approx(0.4))
    assert [change.distance.value, change.distance.low, change.distance.high] == pytest.approx([-0.1] * 3)
    assert change.worst.value == pytest.approx(0.1)


def test_runs_are_averaged():
    """Two runs with opposite gaps have none on average."""
    level = np.repeat([0, 1], 40)
    runs = np.stack([np.repeat([0.4, 0.6], 40), np.repeat([0.6, 0.4], 40)])
    assert subgroup_gaps(runs, level, alone(80), seed=0, resamples=50)["iou_mean"][0].distance.value == pytest.approx(0)
