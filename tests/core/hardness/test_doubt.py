"""Doubt without annotation."""

import numpy as np
import pytest

from htltools.core.hardness.doubt import object_disagreement, soft_dice_doubt, view_disagreement
from htltools.tasks.registry import TASKS

BOX = TASKS["box"].comparison


def test_views_that_agree_leave_no_doubt():
    """0 where all views give the prediction, 1 where none meets it; the mean between; NaN without a view."""
    box, away = np.array([[0.0, 0, 0.5, 0.5]]), np.array([[0.6, 0.6, 1, 1]])
    assert view_disagreement(box, [box, box], BOX) == [0]
    assert view_disagreement(box, [away], BOX) == [1]
    assert view_disagreement(box, [box, away], BOX) == [0.5]
    assert np.isnan(view_disagreement(box, [], BOX)).all()


def test_each_object_has_its_own_doubt():
    """An object that a view has elsewhere, or of another class, is doubtful; one in its place is not; empty places have none."""
    objects = np.array([[[0, 0, 0.5, 0.5, 0, 0.9], [0.5, 0.5, 1, 1, 1, 0.8], [0, 0, 0, 0, -1, 0]]])
    view = np.array([[[0, 0, 0.5, 0.5, 0, 0.7], [0.5, 0.5, 1, 1, 0, 0.8]]])
    image, doubt = object_disagreement(objects, [view])
    assert doubt[0, :2].tolist() == [0, 1] and np.isnan(doubt[0, 2]) and image.tolist() == [0.5]
    image, doubt = object_disagreement(objects, [view, objects])
    assert doubt[0, :2].tolist() == [0, 0.5] and image.tolist() == [0.25]
    assert all(np.isnan(each).all() for each in object_disagreement(objects, []))


def test_an_object_vouches_for_one_other_only():
    """Of two objects on one of the view, the nearer has it; what only the view has makes the image doubtful, and no object of it."""
    near, far, none = [0, 0, 1, 0.9, 0, 0.9], [0, 0, 1, 0.6, 0, 0.8], [0, 0, 0, 0, -1, 0]
    two, one, empty = np.array([[far, near]]), np.array([[[0, 0, 1, 1, 0, 0.7], none]]), np.array([[none]])
    image, doubt = object_disagreement(two, [one])
    assert doubt[0].tolist() == pytest.approx([1, 0.1]) and image[0] == pytest.approx(1 - 0.9 / 2)
    image, doubt = object_disagreement(one, [two])
    assert doubt[0, 0] == pytest.approx(0.1) and image[0] == pytest.approx(1 - 0.9 / 2)
    assert object_disagreement(empty, [empty])[0].tolist() == [0]
    assert object_disagreement(empty, [one])[0].tolist() == [1]
    unknown = np.full((1, 1, 6), np.nan)
    assert np.isnan(object_disagreement(unknown, [one])[0]).all() and np.isnan(object_disagreement(one, [unknown])[0]).all()


def test_soft_dice_is_worked_by_hand():
    """Sure pixels leave no doubt, pixels near the limit much, and no pixel of lesion all of it; without a mask nothing is known."""
    masks = np.array([[[1.0, 1, 0, 0]], [[0.6, 0.6, 0.4, 0.4]], [[0.4, 0, 0, 0]], [[0, 0, 0, 0]], [[np.nan, 0, 0, 0]]])
    doubt = soft_dice_doubt(masks)
    assert doubt[:4].tolist() == pytest.approx([0, 1 - 2 * 1.2 / (2.0 + 2), 1, 1])
    assert np.isnan(doubt[4])
