"""The hardest samples, and weights from hardness."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from htltools.core.sampling.sample_weights import boosted_weights, hardest, soft_weights, ties_at_threshold

hardnesses = arrays(float, st.integers(1, 60), elements=st.floats(-5, 5, width=16))


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
        assert ((weights[:, None] <= weights) | (hardness[:, None] >= hardness)).all()


@given(hardnesses, st.floats(0, 1))
def test_no_boost_gives_exactly_one(hardness, share):
    """With --boost 0 every weight is 1, to the last bit."""
    assert (boosted_weights(hardest(hardness, share), 0.0) == 1).all()
    assert (soft_weights(hardness, 0.0) == 1).all()


@given(hardnesses, st.floats(0, 1), st.integers(0, 3), st.randoms())
def test_the_order_of_rows_does_not_matter(hardness, share, seed, shuffling):
    """A sample is chosen and weighs the same wherever it stands in the stream, also where others are as hard."""
    hardness = hardness.round()  # many ties
    ids = [f"s{i}" for i in range(len(hardness))]
    order = shuffling.sample(range(len(hardness)), len(hardness))
    chosen = hardest(hardness, share, ids, seed)
    assert (hardest(hardness[order], share, [ids[place] for place in order], seed) == chosen[order]).all()
    assert soft_weights(hardness, 1.0)[order] == pytest.approx(soft_weights(hardness[order], 1.0), abs=1e-15)


@given(hardnesses)
def test_equal_hardness_has_equal_weight(hardness):
    """Soft weights are equal where hardness is, and grow with its rank, the mean one among equals."""
    weights = soft_weights(hardness, 2.0)
    assert (rankdata(weights) == rankdata(hardness)).all()


def test_another_seed_breaks_ties_differently():
    """Who is chosen among equals follows from the seed, and is not simply the first or the last."""
    equal, ids = np.zeros(40), [f"s{i}" for i in range(40)]
    chosen = {tuple(np.flatnonzero(hardest(equal, 0.25, ids, seed))) for seed in range(5)}
    assert len(chosen) == 5
    assert not chosen & {tuple(range(10)), tuple(range(30, 40))}


def test_ties_at_the_threshold_are_counted():
    """Of the chosen ones those count that are no harder than one that is left out; without such a tie nobody counts."""
    hardness = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    assert ties_at_threshold(hardness, hardest(hardness, 0.6)) == (2, 3)
    assert ties_at_threshold(hardness, hardest(hardness, 0.8)) == (0, 0)
    assert ties_at_threshold(hardness, hardest(hardness, 0)) == ties_at_threshold(hardness, hardest(hardness, 1)) == (0, 0)


def test_worked_by_hand():
    """Four samples, the hardest half counted double: weights 2/1.5 and 1/1.5; softly: 1, 4/3, 5/3, 2 over 1.5."""
    hardness = np.array([0.9, 0.1, 0.5, 0.3])
    assert boosted_weights(hardest(hardness, 0.5), 1.0) == pytest.approx(np.array([2, 1, 2, 1]) / 1.5)
    assert soft_weights(hardness, 1.0) == pytest.approx(np.array([2, 1, 5 / 3, 4 / 3]) / 1.5)
    assert soft_weights(np.array([0.2]), 1.0) == pytest.approx([1])
