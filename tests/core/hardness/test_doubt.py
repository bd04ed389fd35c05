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
    doubt = object_disagreement(objects, [view])
    assert doubt[0, :2].tolist() == [0, 1] and np.isnan(doubt[0, 2])
    assert np.isnan(object_disagreement(objects, [])).all()


def test_soft_dice_is_worked_by_hand():
    """Sure pixels leave no doubt, pixels near the limit much, and no pixel of lesion all of it; without a mask nothing is known."""
    masks = np.array([[[1.0, 1, 0, 0]], [[0.6, 0.6, 0.4, 0.4]], [[0.4, 0, 0, 0]], [[0, 0, 0, 0]], [[np.nan, 0, 0, 0]]])
    doubt = soft_dice_doubt(masks)
    assert doubt[:4].tolist() == pytest.approx([0, 1 - 2 * 1.2 / (2.0 + 2), 1, 1])
    assert np.isnan(doubt[4])
