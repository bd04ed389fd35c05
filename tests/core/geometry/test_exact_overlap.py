"""IoU that lies exactly at a threshold."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask

from htltools.core.geometry.boxes import iou
from htltools.core.geometry.objects import packed
from htltools.core.hardness.scores import is_right
from htltools.core.statistics.average_precision import THRESHOLDS, detection_matches

SIDES = st.integers(100, 60_000)


@given(SIDES, SIDES, st.data())
def test_a_half_and_three_quarters_are_met_in_any_frame(width, height, data):
    """A box of which another covers exactly 1/2 or 3/4 is right, also where both are shares of the sides of any image."""
    part, of = data.draw(st.sampled_from([(1, 2), (3, 4)]))
    wide, high = of * data.draw(st.integers(1, 24)), data.draw(st.integers(1, 99))
    x, y = data.draw(st.integers(0, width - wide)), data.draw(st.integers(0, height - high))
    pixels = np.array([[[x, y, x + wide, y + high]], [[x, y, x + wide * part // of, y + high]]], float)
    shares = pixels / [width, height, width, height]
    assert iou(*shares).tolist() == iou(*pixels).tolist() == [float(Fraction(part, of))]
    assert is_right(iou(*shares)).tolist() == [float(part == 3)]


@pytest.mark.parametrize("size", [(333, 77), (600, 450), (6001, 3999)])
def test_average_precision_matches_as_pycocotools(size):
    """Of objects as shares of the sides, those match that pycocotools matches in pixels, at every threshold of IoU."""
    truth = [[7, 11, 7 + 60, 11 + 40]]
    covered = [30, 33, 36, 39, 42, 45, 48, 51, 54, 57]  # of 60 columns: 0.5, 0.55 ... 0.95
    frame = np.tile(size, 2)
    for columns in covered:
        found = [7, 11, 7 + columns, 11 + 40]
        expected = mask.iou(np.array([[7.0, 11, columns, 40]]), np.array([[7.0, 11, 60, 40]]), [0])[0, 0]
        annotated = packed([np.array([[*np.divide(truth[0], frame), 0]])], 5)
        predicted = packed([np.array([[*np.divide(found, frame), 0, 0.9]])], 6)
        right = detection_matches(predicted, annotated, ["object"]).classes[0].right[:, 0]
        assert right.tolist() == (expected >= THRESHOLDS).tolist()
