"""Cross-fitting: folds by hash of the group, and which model is eligible for which row."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htltools.core.hardness.cross_fitting import Fold, fold_of, left_out, models_eligible
from htltools.core.sampling.splits import split_of

GROUPS = [f"patient {i}" for i in range(4000)]


def partition(count, seed=0):
    """All folds of one partition."""
    return [Fold(k, count, seed) for k in range(1, count + 1)]


def test_known_answer():
    """The fold of a group is the same on every machine and in every version."""
    assert [fold_of(f"HAM_{i:07d}", 5) for i in range(8)] == [4, 5, 1, 1, 2, 3, 1, 2]


@pytest.mark.parametrize("count", [2, 5, 7])
def test_folds_are_about_equally_large(count):
    """Over many groups the folds are about equal, also among the groups of one split of the same seed; another seed makes others."""
    training = [group for group in GROUPS if split_of(group, (0.7, 0.15, 0.15)) == "train"]
    sizes = Counter(fold_of(group, count) for group in training)
    assert sizes.keys() == set(range(1, count + 1))
    assert all(abs(size / len(training) - 1 / count) < 0.04 for size in sizes.values())
    assert any(fold_of(group, count, 1) != fold_of(group, count, 2) for group in GROUPS)


@given(st.lists(st.text(max_size=9), min_size=1), st.integers(2, 9), st.integers(0, 99))
def test_each_group_is_left_out_once(groups, count, seed):
    """Exactly one fold of a partition leaves a group out, whatever other groups there are."""
    assert (np.sum([left_out(groups, fold) for fold in partition(count, seed)], 0) == 1).all()
    assert not left_out(groups, None).any()


@given(st.lists(st.text(max_size=9), min_size=1), st.integers(2, 9))
def test_only_models_that_left_a_group_out_are_eligible_for_it(groups, count):
    """For training rows the model of one fold is eligible, which left them out; for other rows, and without folds, all models are."""
    folds = partition(count)
    trained_on = np.arange(len(groups)) % 2 == 0
    eligible = models_eligible(folds, groups, trained_on)
    assert eligible.shape == (count, len(groups))
    assert eligible[:, ~trained_on].all()
    assert (eligible[:, trained_on].sum(0) == 1).all()
    assert all(eligible[fold_of(group, count) - 1, row] for row, group in enumerate(groups))
    assert models_eligible([None, None], groups, trained_on).all()
