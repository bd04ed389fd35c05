"""Confidence intervals from resampling groups."""

import numpy as np
import pytest

from htltools.core.statistics import cluster_bootstrap
from htltools.core.statistics.cluster_bootstrap import estimates, run_interval


def numbers(estimate):
    """A value and its interval."""
    return [estimate.value, estimate.low, estimate.high]


def width(estimate):
    """How wide an interval is."""
    return estimate.high - estimate.low


def test_interval_of_a_mean_is_that_of_theory():
    """With one sample a group the interval of the mean is close to mean +- 1.96 standard errors."""
    iou = np.random.default_rng(1).random(400)
    results = estimates(iou, [f"g{i}" for i in range(400)], seed=0)["iou_mean"]
    error = iou.std(ddof=1) / np.sqrt(400)
    assert results.value == pytest.approx(iou.mean())
    assert [results.low, results.high] == pytest.approx([iou.mean() - 1.96 * error, iou.mean() + 1.96 * error], abs=0.15 * error)


def test_covers_the_truth_about_95_times_in_100():
    """Over many data sets with correlated groups, the interval holds the true mean in nearly 95 % of them."""
    generator = np.random.default_rng(2)
    groups = np.repeat(np.arange(60), 4).astype(str)
    held = 0
    for _ in range(150):
        iou = np.clip(0.5 + (generator.normal(0, 0.1, 60).repeat(4) + generator.normal(0, 0.03, 240)), 0, 1)
        results = estimates(iou, groups, seed=0, resamples=300)["iou_mean"]
        held += results.low <= 0.5 <= results.high
    assert 0.87 <= held / 150 <= 0.99


def test_copies_within_a_group_do_not_narrow_the_interval():
    """Five images of one lesion are not five lesions: repeating every image in its group leaves the interval as it is."""
    iou = np.random.default_rng(3).random(50)
    groups = [f"g{i}" for i in range(50)]
    once, five = estimates(iou, groups, seed=0), estimates(iou.repeat(5), np.repeat(groups, 5), seed=0)
    assert width(five["iou_mean"]) == pytest.approx(width(once["iou_mean"]), rel=0.05)
    as_if_independent = estimates(iou.repeat(5), [f"g{i}" for i in range(250)], seed=0)
    assert width(as_if_independent["iou_mean"]) < 0.6 * width(once["iou_mean"])


def test_a_constant_difference_has_no_spread():
    """Two models that differ by 0.02 on every sample have an interval of 0.02 to 0.02, however much the samples vary."""
    theirs = np.random.default_rng(4).random(100) * 0.9
    results = estimates(theirs + 0.02, [f"g{i}" for i in range(100)], theirs, seed=0)
    assert numbers(results["iou_mean.delta"]) == pytest.approx([0.02] * 3)
    assert width(results["iou_mean"]) > 0.05


def test_model_against_itself_differs_by_nothing():
    """A model compared with itself shows 0 [0, 0] in every metric."""
    iou = np.random.default_rng(5).random(30)
    deltas = [each for name, each in estimates(iou, [f"g{i}" for i in range(30)], iou, seed=0).items() if name.endswith(".delta")]
    assert len(deltas) == 9
    assert all((each.value, each.low, each.high) == (0, 0, 0) for each in deltas)


def test_one_group_has_no_interval():
    """One patient says nothing about others: the interval is None, not a point."""
    results = estimates(np.array([0.2, 0.9]), ["p", "p"], np.array([0.1, 0.9]), seed=0)
    assert (results["iou_mean"].low, results["iou_mean.delta"].high) == (None, None)


def test_same_seed_same_interval_whatever_the_memory(monkeypatch):
    """The seed alone decides the interval; drawing in pieces changes no number."""
    iou, groups = np.random.default_rng(6).random(40), [f"g{i % 13}" for i in range(40)]
    whole = estimates(iou, groups, seed=7)
    monkeypatch.setattr(cluster_bootstrap, "CELLS", 40 * 33)
    for name, each in estimates(iou, groups, seed=7).items():
        assert numbers(each) == pytest.approx(numbers(whole[name]), abs=1e-12)
    assert estimates(iou, groups, seed=8) != whole


def test_several_runs_are_their_mean():
    """Of two runs the mean is given, with each run beside it; differences pair the runs in their order."""
    ours, theirs = np.array([[0.2, 0.4], [0.6, 0.8]]), np.array([[0.1, 0.3], [0.7, 0.9]])
    results = estimates(ours, ["a", "b"], theirs, seed=0)
    assert (results["iou_mean"].value, results["iou_mean"].runs) == (pytest.approx(0.5), pytest.approx((0.3, 0.7)))
    assert (results["iou_mean.delta"].value, results["iou_mean.delta"].runs) == (pytest.approx(0), pytest.approx((0.1, -0.1)))
    assert [results["iou_mean.delta"].low, results["iou_mean.delta"].high] == pytest.approx([0, 0])


def test_interval_over_runs_worked_by_hand():
    """Three runs of .01, .02 and .03: .02 +- 4.303 * .01 / sqrt(3); equal runs have no spread."""
    assert run_interval([0.01, 0.02, 0.03]) == pytest.approx((0.02 - 4.303 * 0.01 / 3**0.5, 0.02 + 4.303 * 0.01 / 3**0.5), abs=1e-5)
    assert run_interval([0.02, 0.02]) == (0.02, 0.02)
