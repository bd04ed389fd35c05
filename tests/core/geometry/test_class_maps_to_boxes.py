"""Maps of class scores, and the boxes around their peaks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from htltools.core.geometry.class_maps_to_boxes import class_spread, map_boxes, min_max_scaled, peak_region

MAPS = arrays(np.float32, (2, 6, 5), elements=st.floats(0, 1, width=32))


def test_class_spread_is_the_standard_deviation_over_classes():
    """It is 0 where all classes have the same score, and does not depend on which class has the highest."""
    scores = torch.tensor([[3.0, 1.0], [3.0, 5.0]]).view(1, 2, 1, 2)
    assert class_spread(scores).tolist() == [[[0.0, 2.0]]]
    assert torch.equal(class_spread(scores.flip(1)), class_spread(scores))


def test_scaled_maps_fill_the_range():
    """The lowest place of a map is 0 and its highest 1; a flat map, or one of mere rounding, stays flat: no noise, no NaN."""
    maps = min_max_scaled(torch.tensor([[[-1.0, 0.0], [1.0, 3.0]], [[2.0, 2.0], [2.0, 2.0]]]))
    assert maps.tolist() == [[[0.0, 0.25], [0.5, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]
    assert min_max_scaled(torch.tensor([[[0.0, 1e-9]]])).tolist() == [[[0.0, 0.0]]]


def test_only_what_is_connected_with_the_peak_counts():
    """A second bright spot, apart from the highest, is not in the box; one that touches it at a corner is."""
    maps = torch.zeros(1, 5, 9)
    maps[0, 1, 1], maps[0, 2, 2], maps[0, 3:, 6:] = 1.0, 0.8, 0.9
    assert peak_region(maps, 0.5).nonzero()[:, 1:].tolist() == [[1, 1], [2, 2]]
    x0, y0, x1, y1 = map_boxes(maps, 0.5)[0].tolist()
    assert (x0, y0) == pytest.approx(((0.5 + 0.5) / 9, 1 / 5))
    assert (x1, y1) == pytest.approx(((2.5 + 0.375) / 9, (2.5 + 0.375) / 5))


def test_edges_lie_between_places():
    """Edges are where the map crosses the threshold on the way to the next place, or the border where it never does."""
    row = torch.tensor([1.0, 0.6, 0.2, 0.0]).expand(1, 3, 4)
    assert map_boxes(row, 0.4)[0].tolist() == pytest.approx([0, 0, 2 / 4, 1])


@settings(deadline=None)
@given(MAPS, st.floats(0.05, 0.95))
def test_boxes_are_boxes(maps, threshold):
    """Any map leads to a box in the image with its corners in order, which holds the centre of the peak; a flat one to all of it."""
    scaled = min_max_scaled(torch.from_numpy(maps))
    boxes = map_boxes(scaled, threshold).numpy()
    assert np.isfinite(boxes).all() and (boxes >= 0).all() and (boxes <= 1).all()
    assert (boxes[:, :2] < boxes[:, 2:]).all()
    for one, (x0, y0, x1, y1) in zip(scaled.numpy(), boxes):
        if one.max() > 0:
            y, x = np.unravel_index(one.argmax(), one.shape)
            assert x0 <= (x + 0.5) / 5 <= x1 and y0 <= (y + 0.5) / 6 <= y1
        else:
            assert (x0, y0, x1, y1) == (0, 0, 1, 1)


@settings(deadline=None)
@given(MAPS, st.floats(0.1, 0.9), st.floats(0.1, 0.9))
def test_a_higher_threshold_gives_no_larger_box(maps, first, second):
    """The box shrinks as the threshold rises."""
    scaled = min_max_scaled(torch.from_numpy(maps))
    large, small = (map_boxes(scaled, threshold).numpy() for threshold in sorted((first, second)))
    assert (large[:, :2] <= small[:, :2] + 1e-6).all() and (large[:, 2:] >= small[:, 2:] - 1e-6).all()
