"""Risk and coverage: known answers, and what holds for any order and any data."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from htltools.core.statistics.cluster_bootstrap import estimates
from htltools.core.statistics.risk_coverage import COVERAGES, DoubtMetrics, doubt_values, risk_curve

IOUS = arrays(float, st.integers(2, 12), elements=st.sampled_from([0, 0.25, 0.5, 0.75, 1]))


@st.composite
def samples(draw):
    """IoU and doubt of a few samples, both with ties."""
    iou = draw(IOUS)
    return iou, draw(arrays(float, len(iou), elements=st.sampled_from([0, 0.1, 0.2, 0.3, 0.4])))


def one(iou, doubt, **more):
    """Each metric as a number."""
    return {name: float(value[0]) for name, value in doubt_values(np.array(iou), np.array(doubt), 0.5, **more).items()}


def by_definition(iou, doubt):
    """AURC of every order that the doubt allows, the mean over them."""
    found = []
    for order in permutations(range(len(iou))):
        if all(doubt[a] <= doubt[b] for a, b in zip(order, order[1:])):
            risks = 1 - np.array(iou)[list(order)]
            found.append(np.mean(risks.cumsum() / np.arange(1, len(iou) + 1)))
    return np.mean(found)


def test_worked_by_hand():
    """Four samples in the right order, of which one fails: risks 0, 0, .2, .9."""
    found = one([1, 1, 0.8, 0.1], [0.1, 0.2, 0.3, 0.9])
    assert found["aurc"] == pytest.approx((0 + 0 + 0.2 / 3 + 1.1 / 4) / 4)
    assert (found["e_aurc"], found["failure_auroc"]) == (0, 1)
    assert found["selective_iou@0.7"] == pytest.approx((1 + 1 + 0.8 * 0.8) / 2.8)
    assert found["selective_failure_rate@0.7"] == 0
    assert found["selective_failure_rate@0.95"] == pytest.approx(0.8 / 3.8)


@pytest.mark.parametrize("doubt", [[1, 1, 1, 2, 2], [3, 3, 3, 3, 3], [1, 2, 2, 3, 1]])
def test_ties_are_the_mean_over_all_orders(doubt):
    """Samples of one doubt count as they would on average, whichever comes first."""
    iou = [0.9, 0.1, 0.5, 0.3, 1.0]
    assert one(iou, doubt)["aurc"] == pytest.approx(by_definition(iou, doubt))


@given(samples(), st.randoms())
def test_the_order_of_samples_is_nothing(pair, random):
    """Every figure is the same for the samples in another order."""
    iou, doubt = pair
    order = list(range(len(iou)))
    random.shuffle(order)
    assert one(iou, doubt) == pytest.approx(one(iou[order], doubt[order]), nan_ok=True)


@given(samples())
def test_no_order_beats_the_ideal_one(pair):
    """The ideal order has the least AURC, the random one the mean risk and a chance of a half; doubt turned round turns the AUROC."""
    iou, doubt = pair
    metrics = DoubtMetrics(iou, doubt)
    own, ideal, random = (
        {name: value[0] for name, value in each.values().items()} for each in (metrics, metrics.ideal(), metrics.random())
    )
    assert own["aurc"] >= ideal["aurc"] - 1e-12 and ideal["e_aurc"] == 0
    assert own["e_aurc"] == pytest.approx(own["aurc"] - ideal["aurc"], abs=1e-12)
    assert random["aurc"] == pytest.approx(1 - iou.mean())
    for coverage in COVERAGES:
        assert random[f"selective_iou@{coverage:g}"] == pytest.approx(iou.mean())
        assert own[f"selective_iou@{coverage:g}"] <= ideal[f"selective_iou@{coverage:g}"] + 1e-12
    turned = one(iou, -doubt)["failure_auroc"]
    assert np.isnan(turned) or (turned == pytest.approx(1 - own["failure_auroc"]) and random["failure_auroc"] == 0.5)


@given(samples(), st.integers(0, 3))
def test_a_sample_taken_twice_is_two_samples(pair, seed):
    """Repeats by number are repeats by hand."""
    iou, doubt = pair
    times = np.random.default_rng(seed).integers(0, 3, (1, len(iou)))
    times[0, 0] += 1
    assert one(iou, doubt, times=times) == pytest.approx(one(iou.repeat(times[0]), doubt.repeat(times[0])), nan_ok=True)


def test_intervals_and_paired_differences():
    """The bootstrap gives each metric an interval, and two columns on the same samples a paired difference."""
    random = np.random.default_rng(0)
    iou = random.uniform(size=60)
    good, bad = DoubtMetrics(iou, 1 - iou), DoubtMetrics(iou, random.uniform(size=60))
    found = estimates([good], [str(i // 2) for i in range(60)], [bad], seed=0, resamples=200)
    assert found["aurc"].low < found["aurc"].value < found["aurc"].high
    assert found["aurc.delta"].high < 0 < found["failure_auroc.delta"].low


def test_the_curve_ends_at_the_mean_risk():
    """The whole set is answered at a coverage of 1."""
    coverage, risk = risk_curve(np.array([1, 0.5, 0.0]), np.array([1.0, 2, 3]), 3)
    assert coverage.tolist() == pytest.approx([1 / 3, 2 / 3, 1]) and risk.tolist() == pytest.approx([0, 0.25, 0.5])
