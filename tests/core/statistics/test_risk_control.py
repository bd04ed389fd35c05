"""A threshold of doubt that keeps its promise."""

import numpy as np
import pytest

from htltools.core.statistics.risk_control import ReferralMetrics, controlled_threshold, fewest_groups

LIMIT = 0.05


def simulated(seed, groups=600):
    """Samples of patients of one to four images: whether each fails, doubt that tells it in part, and the patient; some are ill to read."""
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 5, groups)
    member = np.repeat(np.arange(groups), sizes)
    hard = random.beta(0.6, 5, groups)[member]
    fails = random.uniform(size=len(member)) < hard
    doubt = np.round(np.clip(0.5 * fails * random.uniform(size=len(member)) + 0.3 * hard + 0.3 * random.uniform(size=len(member)), 0, 1), 2)
    return fails, doubt, member


def unreferred(fails, doubt, groups, threshold):
    """The share of failures that are not referred, mean over groups."""
    return ReferralMetrics(fails, ~(doubt <= threshold), groups).values()["unreferred_failure_rate"][0]


def split_halves(seed, member):
    """Which samples are of the half of the groups that is calibrated on."""
    chosen = np.random.default_rng(seed).permutation(member.max() + 1) < (member.max() + 1) // 2
    return chosen[member]


def test_the_promise_is_kept_in_95_of_100_splits():
    """Of random splits of val and test by patient, at least 95 of 100 have no more failures among the unreferred of test than promised."""
    fails, doubt, member = simulated(0)
    names = member.astype(str)
    rates, referred = [], []
    for seed in range(100):
        val = split_halves(seed, member)
        found = controlled_threshold(fails[val], doubt[val], names[val], LIMIT)
        rates.append(unreferred(fails[~val], doubt[~val], names[~val], found.threshold))
        referred.append(found.refer_rate)
    assert unreferred(fails, doubt, names, 2.0) > 1.5 * LIMIT, "without a threshold it would be broken"
    assert sum(rate <= LIMIT for rate in rates) >= 95
    assert np.mean(referred) < 0.5, "and not by referring everything"


def test_without_a_confidence_the_promise_is_of_the_mean():
    """Conformal risk control keeps the mean over splits, and refers fewer."""
    fails, doubt, member = simulated(1)
    names, rates = member.astype(str), []
    for seed in range(100):
        val = split_halves(seed, member)
        sure, mean = (controlled_threshold(fails[val], doubt[val], names[val], LIMIT, confidence) for confidence in (0.95, None))
        assert mean.threshold >= sure.threshold
        rates.append(unreferred(fails[~val], doubt[~val], names[~val], mean.threshold))
    assert np.mean(rates) <= LIMIT


def test_conformal_bound_by_hand():
    """Of 99 groups of one sample, (failures + 1) / 100 may be .05: four failures are answered, and the fifth is not."""
    doubt = np.arange(99) / 100
    fails = np.isin(np.arange(99), [10, 20, 30, 40, 50, 60])
    found = controlled_threshold(fails, doubt, [str(i) for i in range(99)], LIMIT, None)
    assert (found.threshold, found.groups) == (0.49, 99)
    assert found.unreferred_failure_rate == pytest.approx(4 / 99)
    assert found.refer_rate == pytest.approx(49 / 99)


def test_too_few_groups_promise_nothing():
    """Without a failure, one group fewer than needed gives no threshold, and as many as needed give the largest doubt."""
    for confidence in (0.95, None):
        count = fewest_groups(0.1, confidence)
        for groups in (count - 1, count):
            found = controlled_threshold(
                np.zeros(groups, bool), np.linspace(0, 1, groups), [str(i) for i in range(groups)], 0.1, confidence
            )
            assert (found is None) == (groups < count)


def test_what_has_no_doubt_is_referred():
    """A sample of unknown doubt is never answered, and so never a failure that was answered."""
    doubt = np.append(np.linspace(0, 1, 100), np.nan)
    found = controlled_threshold(np.append(np.zeros(100, bool), True), doubt, [str(i) for i in range(101)], 0.05)
    assert (found.threshold, found.refer_rate) == (1.0, pytest.approx(1 / 101))
    assert unreferred(np.array([True]), np.array([np.nan]), ["a"], 1.0) == 0
