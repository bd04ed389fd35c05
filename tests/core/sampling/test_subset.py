"""Subsets in which hard samples are rare by construction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htltools.core.sampling.subset import fill_total, selection
from htltools.errors import DataError

samples = st.lists(st.tuples(st.booleans(), st.integers(0, 30)), min_size=1, max_size=80)  # hard, group


def unzipped(samples):
    """Which are hard, and their groups."""
    return np.array([hard for hard, _ in samples]), [f"g{group}" for _, group in samples]


@given(samples, st.floats(0, 1), st.integers(0, 3))
def test_groups_stay_or_go_as_a_whole(samples, share, seed):
    """No group is split up, and without a count every group without a hard sample stays."""
    is_hard, groups = unzipped(samples)
    stay = selection(is_hard, groups, share, seed=seed)
    for group in set(groups):
        of_group = np.array(groups) == group
        assert len(set(stay[of_group])) == 1
        assert stay[of_group].all() or is_hard[of_group].any()


@given(samples, st.floats(0, 1), st.permutations(range(80)))
def test_the_order_of_rows_does_not_matter(samples, share, order):
    """Which samples stay follows from seed and names alone."""
    is_hard, groups = unzipped(samples)
    order = [place for place in order if place < len(groups)]
    stay = selection(is_hard, groups, share)
    assert (selection(is_hard[order], [groups[place] for place in order], share) == stay[order]).all()


@given(st.integers(1, 60), st.integers(0, 60), st.floats(0, 0.99))
def test_single_samples_reach_the_share(hard, others, share):
    """Where every sample is a group of its own, the hard ones come within one of the share, or all of them stay."""
    is_hard = np.arange(hard + others) < hard
    stay = selection(is_hard, [str(i) for i in range(hard + others)], share)
    assert stay[~is_hard].all()
    kept = (stay & is_hard).sum()
    assert abs(kept - share * stay.sum()) <= 1 or (kept == hard and kept <= share * stay.sum())


@given(st.integers(0, 40), st.floats(0, 1), st.integers(0, 5))
def test_single_samples_reach_the_count(count, share, seed):
    """Where every sample is a group of its own, count and share are met exactly."""
    is_hard = np.arange(100) < 50
    stay = selection(is_hard, [str(i) for i in range(100)], share, max(count, 1), seed)
    assert stay.sum() == max(count, 1)
    assert (stay & is_hard).sum() == round(share * max(count, 1))


def test_seeds_draw_differently():
    """Another seed draws another selection."""
    is_hard = np.arange(100) < 50
    one, other = (selection(is_hard, [str(i) for i in range(100)], 0.1, 20, seed) for seed in (0, 1))
    assert (one != other).any()


def test_too_few_samples_are_refused():
    """Too few hard samples, or too few others, are refused with both numbers."""
    is_hard, names = np.arange(10) < 2, [str(i) for i in range(10)]
    with pytest.raises(DataError) as caught:
        selection(is_hard, names, 0.5, 6)
    assert str(caught.value) == "3 hard rows of 6 are wanted, and there are 2; lower --count or --share"
    with pytest.raises(DataError) as caught:
        selection(is_hard, names, 0.1, 12)
    assert str(caught.value) == "11 rows are wanted beside the 1 drawn with the hard ones, and there are 8; lower --count"


def test_filling_a_total_worked_by_hand():
    """A group that does not fit is skipped; one more may exceed the total where that comes nearer."""
    assert fill_total(np.array([0, 1]), np.array([5, 7]), 8).tolist() == [0]  # 5 is 3 off, 12 is 4 off
    assert fill_total(np.array([0, 1]), np.array([9, 7]), 8).tolist() == [1]
    assert fill_total(np.array([0, 1]), np.array([12, 9]), 8).tolist() == [1]  # over by one is nearer than none
    assert fill_total(np.array([], int), np.array([1]), 8).tolist() == []
