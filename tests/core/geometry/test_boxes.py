"""Boxes: properties of their overlap, and comparison with an independent implementation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htltools.core.geometry.box_cleaning import border_loss, fitted_boxes
from htltools.core.geometry.boxes import area, box_of_mask, boxes_of_labels, clipped, constant_iou, iou, scaled, single_box

edge = st.integers(-50, 250)
box = st.tuples(edge, edge, st.integers(1, 100), st.integers(1, 100)).map(lambda b: np.array([b[0], b[1], b[0] + b[2], b[1] + b[3]], float))


@given(box, box)
def test_iou_is_a_share(a, b):
    """IoU lies in [0, 1], is symmetric, and is 1 for equal boxes alone."""
    value = iou(a, b)
    assert 0 <= value <= 1
    assert value == iou(b, a)
    assert (value == 1) == bool((a == b).all())
    assert iou(a, a) == 1


@given(box, box, st.sampled_from([0.25, 0.5, 2, 8]), st.sampled_from([0.5, 4]))
def test_iou_survives_scaling(a, b, across, down):
    """IoU is the same in every frame: stretching both boxes alike changes nothing, and scaling back gives the box again."""
    frame, other = (200, 100), (200 * across, 100 * down)
    assert iou(scaled(a, frame, other), scaled(b, frame, other)) == pytest.approx(iou(a, b))
    assert scaled(scaled(a, frame, other), other, frame) == pytest.approx(a)


@settings(deadline=None)  # the first call imports torch
@given(st.lists(st.tuples(box, box), min_size=1, max_size=20))
def test_iou_agrees_with_torchvision(pairs):
    """IoU is that of torchvision, box by box."""
    torch = pytest.importorskip("torch")
    ops = pytest.importorskip("torchvision.ops")
    a, b = (np.stack(side) for side in zip(*pairs, strict=True))
    expected = ops.box_iou(torch.from_numpy(a), torch.from_numpy(b)).diagonal().numpy()
    assert iou(a, b) == pytest.approx(expected, abs=1e-9)


@given(box)
def test_clipped_box_stays_in_its_image(a):
    """A clipped box never leaves its image and never grows."""
    inside = clipped(a, (200, 100))
    assert (inside >= 0).all() and (inside <= [200, 100, 200, 100]).all()
    assert area(inside) <= area(a)


@given(st.tuples(st.integers(0, 15), st.integers(0, 15), st.integers(1, 8), st.integers(1, 8)))
def test_box_of_mask_is_tight(corner):
    """The box of a filled rectangle is that rectangle, end exclusive; an empty mask has none."""
    x, y, width, height = corner
    lesion_mask = np.zeros((24, 24), bool)
    assert box_of_mask(lesion_mask) is None
    lesion_mask[y : y + height, x : x + width] = True
    assert box_of_mask(lesion_mask) == (x, y, x + width, y + height)


def test_empty_boxes_overlap_nothing():
    """A box without area has IoU 0 with everything, itself included."""
    assert iou(np.array([3, 3, 3, 9.0]), np.array([3, 3, 3, 9.0])) == 0
    assert iou(np.array([5, 5, 1, 1.0]), np.array([0, 0, 9, 9.0])) == 0


def test_one_of_several():
    """`largest` picks the box of most area, `union` the tight box around all."""
    boxes = np.array([[0, 0, 2, 2], [5, 5, 9, 9.0]])
    assert single_box(boxes, "largest").tolist() == [5, 5, 9, 9]
    assert single_box(boxes, "union").tolist() == [0, 0, 9, 9]
    assert fitted_boxes(boxes, (10, 10), (10, 10), "union") == ([[0, 0, 9, 9]], None)


def test_boxes_fitted_to_an_image():
    """A box partly outside is cut, one wholly outside or empty is refused with a reason."""
    assert fitted_boxes([[-5, 2, 4, 30]], (10, 10), (10, 10)) == ([[0, 2, 4, 10]], None)
    assert fitted_boxes([], (10, 10), (10, 10)) == ([], None)
    assert fitted_boxes([[10, 2, 14, 8]], (10, 10), (10, 10)) == ([], "the box [10.0, 2.0, 14.0, 8.0] lies outside its image of 10x10")
    assert fitted_boxes([[4, 2, 4, 8]], (10, 10), (10, 10)) == ([], "the box [4.0, 2.0, 4.0, 8.0] is empty")


def test_the_constant_box_is_the_median():
    """The baseline that a model must beat: one box, the median of the training boxes, measured on the held-out ones."""
    training = np.array([[0, 0, 2, 2], [0, 0, 4, 4], [0, 0, 9, 9.0]])
    assert constant_iou(training, np.array([[0, 0, 4, 4], [0, 0, 4, 2], [6, 6, 8, 8.0]])) == pytest.approx((1 + 0.5 + 0) / 3)


@pytest.mark.parametrize(
    ("boxes", "loss"),
    [
        ([[60, 20, 100, 60]], None),
        ([[60, 20, 101, 61]], None),
        ([[0, 0, 5, 5], [60, 20, 140, 60]], "the box [60.0, 20.0, 140.0, 60.0] loses 50% of its area at the border of its image of 100x80"),
        ([[-300, -200, 30, 30]], "the box [-300.0, -200.0, 30.0, 30.0] loses 99% of its area at the border of its image of 100x80"),
        ([], None),
    ],
)
def test_loss_at_the_border(boxes, loss):
    """A box that loses more than a fifth of its area at the border is told; a pixel of rounding is not."""
    assert border_loss(boxes, (100, 80), (100, 80)) == loss
    doubled = np.multiply(boxes, 2).reshape(-1, 4).tolist()
    assert (border_loss(doubled, (200, 160), (100, 80)) is None) == (loss is None)


def test_boxes_of_labels():
    """Each object of a label map has a box, also where it lies in pieces or a number is missing."""
    labels = np.zeros((10, 12), int)
    labels[2:4, 3:5], labels[8, 11], labels[5:7, 1:9] = 1, 1, 3
    assert boxes_of_labels(labels) == [(3, 2, 12, 9), (1, 5, 9, 7)]
    assert boxes_of_labels(labels * 0) == [] and boxes_of_labels((labels > 0).astype(np.uint8)) == [(1, 2, 12, 9)]
