"""Odds ratios of being hard."""

import numpy as np
import pytest

from htltools.core.statistics.odds_ratios import Odds, adjusted_odds, class_indicators, odds, q_values

NOTHING = Odds(None, None, None, None)


def of_table(a, b, c, d):
    """Which samples are hard, and which inside of the subgroup: a of a + b inside, c of c + d outside."""
    is_hard = np.repeat([True, False, True, False], [a, b, c, d])
    return is_hard, np.repeat([True, False], [a + b, c + d])


def alone(count):
    """Every sample in a group of its own."""
    return [f"g{i}" for i in range(count)]


def fitted(is_hard, inside, classes=None, groups=None):
    """The adjusted odds without other covariates."""
    classes = np.zeros(len(inside), int) if classes is None else classes
    return adjusted_odds(is_hard, inside, np.zeros((len(inside), 0)), classes, groups or alone(len(inside)))


def test_odds_ratio_worked_by_hand():
    """20 of 100 against 10 of 100 is 20 * 90 / (80 * 10) = 2.25; chi-square with Yates' correction is 200 * 900^2 / 51e6 = 3.176."""
    is_hard, inside = of_table(20, 80, 10, 90)
    result = odds(is_hard, inside[:, None], alone(200), seed=0)[0]
    assert (result.value, result.p) == (pytest.approx(2.25), pytest.approx(0.0747, abs=1e-4))


def test_small_tables_get_fishers_exact_test():
    """The lady who tastes three of four cups right: 9 times the odds, p = 34/70."""
    is_hard, inside = of_table(3, 1, 1, 3)
    result = odds(is_hard, inside[:, None], alone(8), seed=0)[0]
    assert (result.value, result.p) == (pytest.approx(9), pytest.approx(34 / 70))


def test_interval_is_near_that_of_theory():
    """With one sample a group, the interval is close to Woolf's: exp(log 2.25 +- 1.96 sqrt(1/200 + 1/800 + 1/100 + 1/900))."""
    is_hard, inside = of_table(200, 800, 100, 900)
    result = odds(is_hard, inside[:, None], alone(2000), seed=0)[0]
    error = np.sqrt(1 / 200 + 1 / 800 + 1 / 100 + 1 / 900)
    assert np.log([result.low, result.high]) == pytest.approx(np.log(2.25) + np.array([-1.96, 1.96]) * error, abs=0.15 * error)


def test_copies_within_a_group_do_not_narrow_the_intervals():
    """Four images of each lesion are no more lesions than one of each: neither interval is narrower, though a naive p is smaller."""
    is_hard, inside = of_table(40, 160, 20, 180)
    groups = alone(400)
    once, four = (
        odds(is_hard, inside[:, None], groups, seed=0)[0],
        odds(is_hard.repeat(4), inside.repeat(4)[:, None], np.repeat(groups, 4), seed=0)[0],
    )
    assert np.log(four.high / four.low) == pytest.approx(np.log(once.high / once.low), rel=0.1)
    assert four.p < once.p
    once, four = fitted(is_hard, inside, groups=groups), fitted(is_hard.repeat(4), inside.repeat(4), groups=[*np.repeat(groups, 4)])
    assert np.log(four.high / four.low) == pytest.approx(np.log(once.high / once.low), rel=0.02)
    assert four.p == pytest.approx(once.p, rel=0.1)


def test_no_finite_odds_are_none():
    """Where all are hard the odds are infinite, where none is they are 0; a level of all samples has nothing to compare with."""
    for table, value in [((5, 0, 5, 5), None), ((0, 5, 5, 5), 0), ((5, 5, 0, 0), None)]:
        is_hard, inside = of_table(*table)
        assert odds(is_hard, inside[:, None], alone(len(inside)), seed=0)[0].value == value
    assert odds(is_hard, inside[:, None], alone(10), seed=0)[0] == NOTHING
    is_hard, inside = of_table(40, 0, 20, 20)
    assert fitted(is_hard, inside) == NOTHING


def test_a_level_of_one_group_has_no_interval():
    """From two images of one patient the spread between such patients is unknown."""
    is_hard, inside = of_table(1, 1, 10, 20)
    result = odds(is_hard, inside[:, None], ["p", "p", *alone(30)], seed=0)[0]
    assert (result.value, result.low, result.high) == (2, None, None)


def test_adjusted_without_covariates_is_the_plain_one():
    """The regression on the subgroup alone gives 2.25 with Woolf's interval."""
    result = fitted(*of_table(20, 80, 10, 90))
    error = np.sqrt(1 / 20 + 1 / 80 + 1 / 10 + 1 / 90)
    assert result.value == pytest.approx(2.25, rel=1e-4)
    assert np.log([result.low, result.high]) == pytest.approx(np.log(2.25) + np.array([-1.96, 1.96]) * error, abs=0.01)


def test_a_confounder_is_adjusted_for():
    """Half of class 0 and a tenth of class 1 is hard, inside and outside alike: 1.9 as it is, 1 at equal class."""
    parts = [of_table(20, 20, 10, 10), of_table(2, 18, 4, 36)]
    is_hard, inside = (np.concatenate(both) for both in zip(*parts))
    classes = np.repeat([0, 1], 60)
    assert odds(is_hard, inside[:, None], alone(120), seed=0)[0].value == pytest.approx(22 * 46 / (38 * 14))
    result = fitted(is_hard, inside, classes)
    assert (result.value, result.p) == (pytest.approx(1, abs=1e-6), pytest.approx(1, abs=1e-6))


def test_classes_without_information():
    """Rare classes count as one, and samples of a class that is never hard are left out instead of breaking the fit."""
    classes = np.repeat([0, 1, 2, 3], [40, 40, 10, 10])
    is_hard = np.arange(100) % 2 == 0
    is_hard[40:80] = False
    used, indicators = class_indicators(is_hard, classes)
    assert np.flatnonzero(~used).tolist() == list(range(40, 80))
    assert indicators[:, 0].tolist() == [0] * 40 + [1] * 20


def test_few_samples_are_not_adjusted():
    """Robust errors of few samples come out too small, so these have no adjusted odds."""
    assert fitted(*of_table(10, 19, 50, 50)) == NOTHING


def test_q_worked_by_hand():
    """Five p by Benjamini and Hochberg: p * 5 / rank, made monotone from the largest down; without a p there is no q."""
    assert q_values([0.03, 0.5, 0.005, None, 0.01, 0.04]) == pytest.approx([0.05, 0.5, 0.025, None, 0.025, 0.05])
    assert q_values([None]) == [None]
