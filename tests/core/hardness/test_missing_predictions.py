"""Predictions that may be missing."""

import numpy as np
import pytest

from htltools.core.hardness.missing_predictions import NEED_ANNOTATION, columns_with_misses, filled_with_misses
from htltools.core.hardness.scores import by_model, scores

NONE = [np.nan] * 4
LOW, HIGH = [0.0, 0.0, 0.25, 0.5], [0.5, 0.5, 1.0, 1.0]
# annotated: a box, a box, none; dense predicts all, pruned only the first
DENSE = np.array([[LOW, LOW, LOW]], np.float32)
PRUNED = np.array([[LOW, NONE, NONE]], np.float32)
ANNOTATED = np.array([LOW, LOW, NONE], np.float32)


def test_a_miss_lies_in_the_farthest_corner():
    """A missing prediction is a point in the corner away from the annotated box; without a box, or with a prediction, nothing changes."""
    given = np.array([[NONE, NONE, NONE, HIGH]])
    filled = filled_with_misses(given, np.array([LOW, HIGH, NONE, LOW]))[0]
    assert filled.tolist()[:2] == [[1, 1, 1, 1], [0, 0, 0, 0]]
    assert np.isnan(filled[2]).all() and filled[3].tolist() == HIGH


def test_missing_predictions():
    """Where a box is annotated, a missing one has IoU 0 and a high loss; what compares the two predictions is unknown."""
    columns = columns_with_misses(scores, DENSE, PRUNED, ANNOTATED, [(0, 0)])
    assert (
        columns["pruned_disagreement"][0] == 0
        and np.isnan(columns["pruned_disagreement"][1:]).all()
        and np.isnan(columns["suspect"][1:]).all()
    )
    assert columns["iou_drop"][:2].tolist() == [0, 1]
    assert columns["pruned_loss"][0] == pytest.approx(0, abs=1e-6) and columns["pruned_loss"][1] > 4
    assert all(np.isnan(columns[name][2]) for name in NEED_ANNOTATION)


def test_nothing_missing_is_as_ever():
    """Without missing predictions the columns are those of models, also one by one."""
    arguments = DENSE, DENSE[:, ::-1].copy(), ANNOTATED, [(0, 0)]
    for columns in scores, by_model:
        for name, values in columns_with_misses(columns, *arguments).items():
            np.testing.assert_array_equal(values, columns(*arguments)[name])
