"""Training dynamics: scores from the predictions of each epoch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from htltools.core.hardness.training_dynamics import cartography_error, cartography_spread, dynamics, forgetting, negative_aum

NAN = np.nan
shapes = st.tuples(st.integers(1, 8), st.integers(1, 8))
ious = shapes.flatmap(lambda shape: arrays(float, shape, elements=st.floats(0, 1, width=16) | st.just(NAN)))


def columns(*samples):
    """Values [E, N] from those of each sample."""
    return np.array(samples, float).T


def test_forgetting_by_hand():
    """It counts how often right turns to wrong; forgetting twice counts twice; a sample that is never right has the most."""
    iou = columns([0.8, 0.7, 0.8, 0.7, 0.8], [0.1, 0.2, 0.8, 0.9, 0.9], [0.75, 0.75, 0.75, 0.75, 0.74], [0.1, 0.2, 0.3, 0.4, 0.74])
    assert forgetting(iou).tolist() == [2, 0, 1, 5]


def test_epochs_without_a_sample_are_skipped():
    """An epoch that does not use a sample is skipped for it; a sample that was never used has no score."""
    assert forgetting(columns([0.8, NAN, 0.7], [NAN, 0.8, NAN], [NAN, 0.1, NAN], [NAN, NAN, NAN])).tolist() == pytest.approx(
        [1, 0, 3, NAN], nan_ok=True
    )
    assert cartography_error(columns([0.8, NAN, 0.4], [NAN] * 3)) == pytest.approx([0.4, NAN], nan_ok=True)
    assert cartography_spread(columns([0.8, NAN, 0.4], [NAN] * 3)) == pytest.approx([0.2, NAN], nan_ok=True)
    assert negative_aum(columns([0.8, NAN, -0.4], [NAN] * 3)) == pytest.approx([-0.2, NAN], nan_ok=True)


def test_harder_is_higher():
    """A sample that is learned late, or never, stands above one that is right from the start."""
    easy, late, never = [0.9] * 6, [0.2, 0.3, 0.5, 0.8, 0.7, 0.8], [0.1] * 6
    iou = columns(easy, late, never)
    for values in (forgetting(iou), cartography_error(iou), negative_aum(iou - 0.3)):
        assert values[0] < values[1] < values[2]
    assert cartography_spread(iou).argmax() == 1  # the ambiguous one


@given(ious)
def test_bounds(iou):
    """Every column keeps to its range, and is NaN exactly for samples that were never used."""
    limits = {"forgetting": (0, len(iou)), "cartography_error": (0, 1), "cartography_spread": (0, 0.5), "negative_aum": (-1, 1)}
    scores = dynamics(iou, iou * 2 - 1)
    assert scores.keys() == limits.keys()
    for name, (low, high) in limits.items():
        values = scores[name]
        assert (np.isnan(values) == np.isnan(iou).all(0)).all()
        there = values[~np.isnan(values)]
        assert ((there >= low - 1e-9) & (there <= high + 1e-9)).all(), name


def test_other_shapes_are_refused():
    """IoU and margin of different epochs are refused."""
    with pytest.raises(ValueError, match=r"expected \[E, N\] twice, got \(2, 3\) and \(3, 3\)"):
        dynamics(np.zeros((2, 3)), np.zeros((3, 3)))
