"""Attention: weights from hardness."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from htltools.core.sampling.sample_weights import boosted_weights, hardest, ranks, soft_weights

hardnesses = arrays(float, st.integers(1, 60), elements=st.floats(-5, 5, width=16))


@given(hardnesses)
def test_ranks_are_a_permutation_in_the_order_of_hardness(hardness):
    """Every sample has a rank of its own, and a harder one never ranks below an easier one."""
    place = ranks(hardness)
    assert sorted(place) == list(range(len(hardness)))
    assert (np.diff(hardness[np.argsort(place)]) >= 0).all()


@given(hardnesses, st.floats(0, 1))
def test_the_top_share_has_its_size_and_is_the_hardest(hardness, share):
    """round(share * N) samples are chosen, and none that is left is harder than one that was chosen."""
    chosen = hardest(hardness, share)
    assert chosen.sum() == round(share * len(hardness))
    if chosen.any() and not chosen.all():
        assert hardness[chosen].min() >= hardness[~chosen].max()


@given(hardnesses, st.floats(0, 1), st.floats(0, 20))
def test_weights_have_mean_one_and_grow_with_hardness(hardness, share, boost):
    """Both kinds of weights have mean 1, are positive, and never fall with hardness."""
    for weights in (boosted_weights(hardest(hardness, share), boost), soft_weights(hardness, boost)):
        assert weights.mean() == pytest.approx(1)
        assert (weights > 0).all()
        assert (np.diff(weights[np.argsort(hardness, kind="stable")]) >= 0).all()


@given(hardnesses, st.floats(0, 1))
def test_no_boost_gives_exactly_one(hardness, share):
    """With --boost 0 every weight is 1, to the last bit."""
    assert (boosted_weights(hardest(hardness, share), 0.0) == 1).all()
    assert (soft_weights(hardness, 0.0) == 1).all()


@given(arrays(float, 8, elements=st.floats(-5, 5, width=16), unique=True), st.permutations(range(8)))
def test_the_order_of_rows_does_not_matter(hardness, order):
    """A sample gets the same weight wherever it stands in the stream."""
    assert (hardest(hardness, 0.3)[order] == hardest(hardness[order], 0.3)).all()
    assert soft_weights(hardness, 1.0)[order] == pytest.approx(soft_weights(hardness[order], 1.0))


def test_worked_by_hand():
    """Four samples, the hardest half counted double: weights 2/1.5 and 1/1.5; softly: 1, 4/3, 5/3, 2 over 1.5."""
    hardness = np.array([0.9, 0.1, 0.5, 0.3])
    assert boosted_weights(hardest(hardness, 0.5), 1.0) == pytest.approx(np.array([2, 1, 2, 1]) / 1.5)
    assert soft_weights(hardness, 1.0) == pytest.approx(np.array([2, 1, 5 / 3, 4 / 3]) / 1.5)
    assert soft_weights(np.array([0.2]), 1.0) == pytest.approx([1])
