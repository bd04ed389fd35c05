"""Metrics of class maps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from htltools.core.statistics.map_metrics import maxboxacc_v2, pixel_counts, pxap

IOUS = arrays(float, (3, 5), elements=st.floats(0, 1))
MAPS = arrays(float, (2, 4, 4), elements=st.floats(0, 1))
MASKS = arrays(bool, (2, 4, 4))


def test_box_accuracy_worked_by_hand():
    """With one threshold it is the mean of three shares of right boxes; an oracle takes the best threshold for each of the three."""
    assert maxboxacc_v2(np.array([[0.35, 0.55, 0.1, 0.9]])) == pytest.approx((3 / 4 + 2 / 4 + 1 / 4) / 3)
    assert maxboxacc_v2(np.array([[0.4, 0.4, 0.4, 0.4], [0.8, 0.8, 0.0, 0.0]])) == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)


@given(IOUS)
def test_more_thresholds_are_no_worse(ious):
    """The oracle is at least what any single threshold gives, and at most 1."""
    assert max(maxboxacc_v2(ious[i : i + 1]) for i in range(3)) <= maxboxacc_v2(ious) + 1e-12 <= 1 + 1e-12


def test_pixel_precision_worked_by_hand():
    """From the highest pixel down: one right of one, one of two, two of three."""
    counts = pixel_counts(np.array([[[0.9, 0.7, 0.5, 0.1]]]), np.array([[[True, False, True, False]]]))
    assert pxap(counts) == pytest.approx((1 + 2 / 3) / 2)


def test_a_flat_map_has_the_share_of_lesion():
    """A constant map has the share of lesion pixels; one that is the lesion has 1."""
    lesion = np.zeros((1, 4, 4), bool)
    lesion[0, :, 0] = True
    assert pxap(pixel_counts(np.full((1, 4, 4), 0.5), lesion)) == pytest.approx(0.25)
    assert pxap(pixel_counts(lesion.astype(float), lesion)) == 1


@given(MAPS, MASKS)
def test_counts_of_batches_add_up(maps, masks):
    """Counting in batches gives the same as counting at once, and the metric lies in [0, 1]."""
    apart = sum(pixel_counts(maps[i : i + 1], masks[i : i + 1]) for i in range(2))
    assert (apart == pixel_counts(maps, masks)).all()
    assert 0 <= pxap(apart) <= 1 + 1e-12
