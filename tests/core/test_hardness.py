"""Hardness from the answers of dense and pruned localizers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from htltools.core.hardness import drift, losses, scores, shift
from htltools.formats.schema import HARDNESS

COUNT = 5


@st.composite
def boxes(draw, *shape):
    """Boxes inside the picture, float32 [..., 4], perhaps without area."""
    corners = draw(arrays(np.float32, (*shape, 2, 2), elements=st.floats(0, 1, width=32)))
    return np.concatenate([corners.min(-2), corners.max(-2)], -1)


def one(*edges):
    """A single box as float32 [1, 4]."""
    return np.array([edges], np.float32)


def test_worked_by_hand():
    """Two overlapping boxes give the scores of pencil and paper."""
    dense, pruned = one(0, 0, 0.5, 0.5), one(0, 0, 0.5, 1)
    columns = scores(dense, pruned[None], pruned)
    loss = 5 * (0.5 - 0.05 / 2) / 4 + 0.5  # smooth L1 of one edge in four, and 1 - IoU: the hull is the union
    expected = {"drift": 0.5, "shift": 0.125, "pruned_loss": 0, "iou_drop": -0.5, "loss_gap": -loss, "loss": loss, "area": 0.5}
    assert {name: values[0] for name, values in columns.items()} == pytest.approx(expected, abs=1e-5)


def test_apart_and_equal():
    """Boxes that do not meet drift by 1, equal ones by 0; the loss goes on growing with distance."""
    box, near, far = one(0, 0, 0.2, 0.2), one(0.3, 0, 0.5, 0.2), one(0.8, 0, 1, 0.2)
    assert drift(box, near) == drift(box, far) == 1
    assert drift(box, box) == shift(box, box) == 0
    assert shift(box, far) == pytest.approx(0.4)
    assert losses(box, box) == pytest.approx(0, abs=1e-5)
    assert 0 < losses(box, near) < losses(box, far)


@settings(deadline=None, max_examples=60)
@given(boxes(COUNT), boxes(2, COUNT), boxes(COUNT))
def test_bounds_and_names(dense, pruned, annotated):
    """Every column is one of the manual's, and lies in the range that the manual gives."""
    columns = scores(dense, pruned, annotated)
    assert columns.keys() | {"random", "grand"} == HARDNESS.keys()
    for name, low, high in [("drift", 0, 1), ("shift", 0, 1), ("iou_drop", -1, 1), ("area", 0, 1)]:
        assert ((columns[name] >= low) & (columns[name] <= high)).all(), name
    assert (columns["pruned_loss"] >= -1e-6).all()
    assert columns["loss_gap"] == pytest.approx(columns["pruned_loss"] - columns["loss"])
    assert all(np.isfinite(values).all() and values.shape == (COUNT,) for values in columns.values())


@settings(deadline=None, max_examples=40)
@given(boxes(COUNT), boxes(2, COUNT), boxes(COUNT), st.permutations(range(COUNT)))
def test_a_sample_scores_the_same_wherever_it_stands(dense, pruned, annotated, order):
    """Shuffling the rows shuffles the scores, and changes none."""
    straight, shuffled = scores(dense, pruned, annotated), scores(dense[order], pruned[:, order], annotated[order])
    for name in straight:
        assert shuffled[name] == pytest.approx(straight[name][order], abs=1e-6), name


@settings(deadline=None, max_examples=40)
@given(boxes(COUNT), boxes(3, COUNT), boxes(COUNT))
def test_several_models_give_the_mean_of_single_ones(dense, pruned, annotated):
    """Scores over several pruned models are the mean of the scores of each."""
    together = scores(dense, pruned, annotated)
    single = [scores(dense, one[None], annotated) for one in pruned]
    for name in together:
        assert together[name] == pytest.approx(np.mean([columns[name] for columns in single], 0), abs=1e-6), name


@settings(deadline=None, max_examples=40)
@given(boxes(COUNT), boxes(COUNT))
def test_nothing_cut_means_nothing_lost(dense, annotated):
    """A pruned model that answers like the dense one has no shift, no gap, and no drift where its boxes have an area."""
    columns = scores(dense, dense[None], annotated)
    has_area = (dense[:, 2:] > dense[:, :2]).all(1) & (np.prod(dense[:, 2:].astype(float) - dense[:, :2], 1) > 0)
    assert (columns["drift"][has_area] == 0).all()
    for name in ("shift", "iou_drop", "loss_gap"):
        assert (columns[name] == 0).all(), name


def test_columns_that_need_an_annotation_are_nan_without_one():
    """An unlabelled sample has drift and shift, and nothing else; its neighbour has everything."""
    dense, pruned = np.tile(one(0, 0, 0.5, 0.5), (2, 1)), np.tile(one(0, 0, 0.5, 1), (2, 1))
    columns = scores(dense, pruned[None], np.concatenate([np.full((1, 4), np.nan, np.float32), one(0, 0, 1, 1)]))
    assert {name for name, values in columns.items() if not np.isnan(values[0])} == {"drift", "shift"}
    assert all(np.isfinite(values[1]) for values in columns.values())


def test_wrong_shapes_are_refused():
    """Arrays that do not fit together are refused, with what was expected and what came."""
    with pytest.raises(ValueError, match=r"expected \[N, 4\], \[M, N, 4\], \[N, 4\], got \(5, 4\), \(5, 4\), \(5, 4\)"):
        scores(*[np.zeros((5, 4), np.float32)] * 3)
