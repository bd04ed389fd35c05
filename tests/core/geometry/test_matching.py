"""Sets of objects, matched."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from htltools.core.geometry.boxes import iou
from htltools.core.geometry.matching import best_match, nearest_first, set_overlap, set_shift
from htltools.core.geometry.objects import above, is_known, packed, present
from htltools.core.nets.detection.nms import nearest_first as tensor_nearest_first


@st.composite
def sets(draw, most=4):
    """Some objects of two classes: [n, 5]."""
    count = draw(st.integers(0, most))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    low = random.random((count, 2)) * 0.8
    return np.concatenate([low, low + 0.05 + random.random((count, 2)) * 0.4, random.integers(0, 2, (count, 1))], 1)


def overlap_of(one, other):
    """Of one image."""
    return set_overlap(packed([one], 5), packed([other], 5))[0]


@settings(deadline=None, max_examples=80)
@given(sets(), sets(), st.randoms())
def test_overlap_is_symmetric_bounded_and_free_of_order(one, other, shuffling):
    """It does not depend on the order of sides or of objects; of a set with itself it is 1."""
    value = overlap_of(one, other)
    assert 0 <= value <= 1
    assert overlap_of(other, one) == pytest.approx(value, abs=1e-6)
    order = list(range(len(one)))
    shuffling.shuffle(order)
    assert overlap_of(one[order], other) == pytest.approx(value, abs=1e-6)
    assert overlap_of(one, one) == pytest.approx(1)
    assert set_shift(packed([one], 5), packed([one], 5)) == pytest.approx(0, abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(sets(3), sets(3))
def test_no_other_match_overlaps_more(one, other):
    """The match has the largest sum of IoU of all assignments."""
    from itertools import permutations

    rows, columns = best_match(one, other) if len(one) and len(other) else ([], [])
    matched = sum(iou(one[rows, :4], other[columns, :4])) if len(rows) else 0
    few, many = (one, other) if len(one) <= len(other) else (other, one)
    every = (
        sum(iou(few[i, :4], many[j, :4]) * (few[i, 4] == many[j, 4]) for i, j in enumerate(chosen))
        for chosen in permutations(range(len(many)), len(few))
    )
    assert matched == pytest.approx(max(every, default=0), abs=1e-9)


def test_one_object_is_plain_iou():
    """Of one object of one class on either side the overlap is the IoU."""
    a, b = np.array([[0, 0, 0.5, 0.5, 0]]), np.array([[0.25, 0, 0.75, 0.5, 0]])
    assert overlap_of(a, b) == pytest.approx(iou(a[0, :4], b[0, :4]), abs=1e-6)
    assert overlap_of(a, b + [0, 0, 0, 0, 1]) == 0  # of another class


def test_unmatched_count_as_full_disagreement():
    """Two objects against one of them: half; nothing against one: 0; nothing on either side: 1, and no shift."""
    both, none = np.array([[0, 0, 0.5, 0.5, 0], [0.6, 0.6, 1, 1, 0]]), np.zeros((0, 5))
    assert overlap_of(both, both[:1]) == 0.5
    assert (overlap_of(both, none), overlap_of(none, none)) == (0, 1)
    assert set_shift(packed([both, both, none], 5), packed([both[:1], none, none], 5)) == pytest.approx([0.5, 1, 0])


def test_unknown_is_nan_and_models_broadcast():
    """An image that is not annotated has no overlap; several models compare with one annotation at once."""
    annotated = packed([np.array([[0, 0, 1, 1, 0]]), None], 5)
    predicted = np.stack([packed([np.array([[0, 0, 1, 0.5, 0, 0.9]])] * 2, 6), packed([np.array([[0, 0, 1, 1, 0, 0.9]])] * 2, 6)])
    values = set_overlap(predicted, annotated)
    assert values[:, 0] == pytest.approx([0.5, 1])
    assert np.isnan(values[:, 1]).all()
    assert is_known(annotated).tolist() == [True, False]


def test_above_keeps_objects_with_a_sufficient_score():
    """Objects below the threshold leave empty places; those at it stay."""
    predicted = packed([np.array([[0, 0, 1, 1, 0, 0.9], [0, 0, 1, 1, 1, 0.5], [0, 0, 1, 1, 1, 0.2]])], 6)
    assert present(above(predicted, 0.5)).tolist() == [[True, True, False]]
    assert present(predicted).all()


def test_nearest_first_is_the_same_as_tensors():
    """Random sets, with empty places and several classes: the tensors of a graph and the plain loop match alike, and one to one."""
    random = np.random.default_rng(0)

    def drawn(count, most):
        low = random.random((count, most, 2)) * 0.6
        boxes = np.concatenate([low, low + 0.1 + 0.3 * random.random((count, most, 2))], 2)
        kinds = random.integers(-1, 2, (count, most, 1))
        return np.concatenate([boxes, kinds, random.random((count, most, 1))], 2).astype(np.float32)

    one, other = drawn(60, 7), drawn(60, 9)
    expected = nearest_first(one, other)
    assert tensor_nearest_first(torch.from_numpy(one), torch.from_numpy(other)).numpy() == pytest.approx(expected, abs=1e-6)
    assert (expected[one[..., 4] < 0] == 0).all() and (expected.sum(1) <= 7).all() and (expected > 0).any()
    back = nearest_first(other, one)
    assert np.sort(back[back > 0]) == pytest.approx(np.sort(expected[expected > 0]))  # pairs are the same from either side
    best = np.array([iou(a[best_match(a, b)[0], :4], b[best_match(a, b)[1], :4]).sum() for a, b in zip(filled(one), filled(other))])
    assert (expected.sum(1) <= best + 1e-6).all()


def filled(several):
    """The objects of each image alone."""
    return [own[own[:, 4] >= 0] for own in several]
