"""Hardness from the predictions of dense and pruned localizers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from htltools.core.geometry.boxes import box_losses, overlap
from htltools.core.hardness.baselines import smallness
from htltools.core.hardness.scores import (
    Comparison,
    disagreement,
    edge_distance,
    el2n,
    pie,
    scores,
    seed_disagreement,
    two_sides,
)
from htltools.formats.rows.vocabulary import HARDNESS

COUNT = 5
BOXES = Comparison(overlap, edge_distance, smallness, el2n)


@st.composite
def boxes(draw, *shape):
    """Boxes inside the image, float32 [..., 4], perhaps without area."""
    corners = draw(arrays(np.float32, (*shape, 2, 2), elements=st.floats(0, 1, width=32)))
    return np.concatenate([corners.min(-2), corners.max(-2)], -1)


def each_pair(dense, pruned):
    """Every dense model with every pruned one."""
    return [(i, j) for i in range(len(dense)) for j in range(len(pruned))]


def scored(dense, pruned, annotated, pairs=None):
    """The scores of dense [D, N, 4] and pruned [M, N, 4], each compared with each, or in the given pairs."""
    models = np.concatenate([dense, pruned])
    losses = np.array([box_losses(boxes, annotated) for boxes in models])
    return scores(two_sides(models, losses, len(dense), pairs or each_pair(dense, pruned)), annotated, BOXES)


def one(*edges):
    """A single box as float32 [1, 4]."""
    return np.array([edges], np.float32)


def test_worked_by_hand():
    """Two overlapping boxes give the scores of pencil and paper."""
    dense, pruned = one(0, 0, 0.5, 0.5), one(0, 0, 0.5, 1)
    columns = scored(dense[None], pruned[None], pruned)
    loss = 5 * (0.5 - 0.05 / 2) / 4 + 0.5  # smooth L1 of one edge in four, and 1 - IoU: the hull is the union
    expected = {
        "pruned_disagreement": 0.5,
        "pruned_shift": 0.125,
        "pruned_loss": 0,
        "iou_drop": -0.5,
        "loss_gap": -loss,
        "loss": loss,
        "el2n": 0.5,
        "smallness": 0.5,
    }
    expected["suspect"] = (0.25 + 0.03) / 0.53**0.5  # the dense IoU is 0.5, the pruned one 1, that of both 0.5
    values = {name: own[0] for name, own in columns.items()}
    assert np.isnan([values.pop("pie"), values.pop("seed_disagreement")]).all()  # of which there must be several
    assert values == pytest.approx(expected, abs=1e-5)


def test_apart_and_equal():
    """Boxes that do not meet disagree by 1, equal ones by 0; the loss goes on growing with distance."""
    box, near, far = one(0, 0, 0.2, 0.2), one(0.3, 0, 0.5, 0.2), one(0.8, 0, 1, 0.2)
    assert disagreement(box, near) == disagreement(box, far) == 1
    assert disagreement(box, box) == edge_distance(box, box) == 0
    assert edge_distance(box, far) == pytest.approx(0.4)
    assert box_losses(box, box) == pytest.approx(0, abs=1e-5)
    assert 0 < box_losses(box, near) < box_losses(box, far)


@settings(deadline=None, max_examples=60)
@given(boxes(3, COUNT), boxes(2, COUNT), boxes(COUNT))
def test_bounds_and_names(dense, pruned, annotated):
    """Every column is one of the manual's, and lies in the range that the manual gives."""
    columns = scored(dense, pruned, annotated)
    from_elsewhere = {"mirror_disagreement", "look_disagreement", "soft_dice_doubt"}
    from_elsewhere |= {"random", "grand", "dropout_disagreement", "forgetting", "cartography_error", "cartography_spread", "negative_aum"}
    assert columns.keys() | from_elsewhere == HARDNESS.keys()
    ranges = {"iou_drop": (-1, 1), "el2n": (0, 2)} | dict.fromkeys(
        ["pruned_disagreement", "pruned_shift", "pie", "seed_disagreement", "smallness"], (0, 1)
    )
    for name, (low, high) in ranges.items():
        assert ((columns[name] >= low) & (columns[name] <= high)).all(), name
    assert (columns["pruned_loss"] >= -1e-6).all()
    assert columns["loss_gap"] == pytest.approx(columns["pruned_loss"] - columns["loss"])
    assert all(np.isfinite(values).all() and values.shape == (COUNT,) for values in columns.values())


@settings(deadline=None, max_examples=40)
@given(boxes(2, COUNT), boxes(2, COUNT), boxes(COUNT), st.permutations(range(COUNT)))
def test_a_sample_scores_the_same_wherever_it_stands(dense, pruned, annotated, order):
    """Shuffling the rows shuffles the scores, and changes none."""
    straight, shuffled = scored(dense, pruned, annotated), scored(dense[:, order], pruned[:, order], annotated[order])
    for name in straight:
        assert shuffled[name] == pytest.approx(straight[name][order], abs=1e-6), name


@settings(deadline=None, max_examples=40)
@given(boxes(2, COUNT), boxes(3, COUNT), boxes(COUNT))
def test_several_models_give_the_mean_of_single_ones(dense, pruned, annotated):
    """Scores over several dense and pruned models are the mean of the scores of each with each, but for those of whole populations."""
    together = scored(dense, pruned, annotated)
    single = [scored(dense[[i]], pruned[[j]], annotated) for i, j in each_pair(dense, pruned)]
    for name in together.keys() - {"pie", "seed_disagreement"}:
        assert together[name] == pytest.approx(np.mean([columns[name] for columns in single], 0), abs=1e-6), name


@settings(deadline=None, max_examples=40)
@given(boxes(COUNT), boxes(COUNT))
def test_nothing_cut_means_nothing_lost(dense, annotated):
    """A pruned model that predicts like the dense one has no shift and no gap, and no disagreement where its boxes have an area."""
    columns = scored(dense[None], dense[None], annotated)
    has_area = (dense[:, 2:] > dense[:, :2]).all(1) & (np.prod(dense[:, 2:].astype(float) - dense[:, :2], 1) > 0)
    assert (columns["pruned_disagreement"][has_area] == 0).all()
    for name in ("pruned_shift", "iou_drop", "loss_gap"):
        assert (columns[name] == 0).all(), name


def test_columns_that_need_an_annotation_are_nan_without_one():
    """An unlabelled sample has pruned_disagreement, pruned_shift and seed_disagreement, and nothing else; its neighbour has everything."""
    dense, pruned = np.tile(one(0, 0, 0.5, 0.5), (2, 2, 1)), np.tile(one(0, 0, 0.5, 1), (2, 2, 1))
    columns = scored(dense, pruned, np.concatenate([np.full((1, 4), np.nan, np.float32), one(0, 0, 1, 1)]))
    assert {name for name, values in columns.items() if not np.isnan(values[0])} == {
        "pruned_disagreement",
        "pruned_shift",
        "seed_disagreement",
    }
    assert all(np.isfinite(values[1]) for values in columns.values())


def test_wrong_shapes_are_refused():
    """Arrays that do not fit together are refused, with what was expected and what came."""
    sides = two_sides(np.zeros((2, 5, 4), np.float32), np.zeros((2, 5)), 1, [(0, 0)])
    with pytest.raises(ValueError, match=r"expected \[D, N, ...\], \[M, N, ...\], \[N, ...\], got \(1, 5, 4\), \(1, 5, 4\), \(4, 4\)"):
        scores(sides, np.zeros((4, 4), np.float32), BOXES)


def test_pie_worked_by_hand():
    """pie is the share of pruned models that are right (IoU >= 0.75) where most dense ones are wrong, or the reverse."""
    right, wrong, none = np.array([[0.75]]), np.array([[0.7]]), np.array([[np.nan]])  # overlap of [models, samples]
    pruned = np.concatenate([right, wrong, wrong, wrong])
    assert pie(right, pruned) == 0.75
    assert pie(wrong, pruned) == 0.25
    assert pie(np.concatenate([right, right, wrong]), pruned) == 0.75
    assert pie(np.concatenate([right, wrong]), pruned) == 0.25  # a tie is no majority
    assert pie(right, np.concatenate([right, wrong, none])) == 0.5
    assert np.isnan(pie(right, np.concatenate([wrong, none])))
    assert np.isnan(pie(right, none))


def test_el2n_worked_by_hand():
    """The error of a box is a vector of four edges: 0.3 and 0.4 make 0.5; no prediction is worse than the whole image off on each."""
    assert el2n(one(0.3, 0.4, 1, 1), one(0, 0, 1, 1)) == pytest.approx(0.5)
    assert el2n(one(0, 0, 0, 0), one(1, 1, 1, 1)) == 2


def test_disagreement_worked_by_hand():
    """Of three dense models two agree: one pair of three disagrees by nothing. A single one has none to disagree with."""
    here, there, none = one(0, 0, 0.5, 0.5), one(0.5, 0.5, 1, 1), np.full((1, 4), np.nan, np.float32)
    assert seed_disagreement(np.stack([here, here, there]), BOXES) == pytest.approx(2 / 3)
    assert seed_disagreement(np.stack([here, none, there]), BOXES) == 1
    assert np.isnan(seed_disagreement(here[None], BOXES))
    assert np.isnan(seed_disagreement(np.stack([here, none]), BOXES))


@settings(deadline=None, max_examples=40)
@given(boxes(2, COUNT), boxes(3, COUNT), boxes(COUNT), st.permutations(range(3)))
def test_a_model_without_predictions_changes_nothing(dense, pruned, annotated, order):
    """Models that predict NaN for a sample count for nothing in any column, and the order of models does not matter."""
    silent = np.full((1, COUNT, 4), np.nan, np.float32)
    expected = scored(dense, pruned, annotated)
    with_silent = scored(np.concatenate([silent, dense]), np.concatenate([pruned, silent])[[*order, 3]], annotated)
    for name in expected:
        assert with_silent[name] == pytest.approx(expected[name], abs=1e-6, nan_ok=True), name


def test_only_the_pairs_are_compared():
    """pruned_disagreement and pruned_shift are those of the pairs given: each pruned model agrees with its own dense one."""
    models = np.stack([one(0, 0, 0.5, 0.5), one(0.5, 0.5, 1, 1)])
    annotated = one(0, 0, 1, 1)
    assert scored(models, models, annotated, [(0, 0), (1, 1)])["pruned_disagreement"] == 0
    assert scored(models, models, annotated)["pruned_disagreement"] == 0.5


def test_a_dense_model_alone_has_the_columns_of_dense_ones():
    """Without a pruned model there are loss, el2n, seed_disagreement and smallness, the same as beside one."""
    dense, pruned, annotated = np.random.default_rng(0).uniform(size=(3, 2, 5, 4)).astype(np.float32)
    alone, beside = scored(dense, pruned[:0], annotated[0]), scored(dense, pruned, annotated[0])
    assert list(alone) == ["loss", "el2n", "seed_disagreement", "smallness"]
    for name, values in alone.items():
        assert values == pytest.approx(beside[name])
