"""Predictions that may be missing."""

import numpy as np
import pytest

from htltools.core.geometry.boxes import box_losses, overlap
from htltools.core.hardness.baselines import smallness
from htltools.core.hardness.missing_predictions import filled_with_misses
from htltools.core.hardness.scores import Comparison, Sides, edge_distance, el2n, scores

COMPARISON = Comparison(overlap, edge_distance, smallness, el2n)

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


def sides(dense, pruned):
    """One dense and one pruned model, compared with each other; [1, N, 4] each."""
    return Sides(dense, pruned, *(box_losses(side[0], ANNOTATED)[None] for side in (dense, pruned)), [(0, 0)])


def test_missing_predictions_are_misses():
    """Where a box is annotated, a missing one has IoU 0 and a high loss; what compares the two predictions is unknown."""
    missed = sides(filled_with_misses(DENSE, ANNOTATED), filled_with_misses(PRUNED, ANNOTATED))
    columns = scores(sides(DENSE, PRUNED), ANNOTATED, COMPARISON, missed)
    assert columns["pruned_disagreement"] == pytest.approx([0, np.nan, np.nan], nan_ok=True)
    assert np.isnan(columns["suspect"][1:]).all()
    assert columns["iou_drop"] == pytest.approx([0, 1, np.nan], nan_ok=True)
    assert columns["pruned_loss"][0] == pytest.approx(0, abs=1e-6) and columns["pruned_loss"][1] > 4
    assert np.isnan([columns[name][2] for name in ("pruned_loss", "loss", "loss_gap", "el2n")]).all()


def test_nothing_missing_is_unchanged():
    """Without missing predictions the columns are those of models."""
    given = DENSE[:, ::-1].copy()
    for name, values in scores(sides(DENSE, given), ANNOTATED, COMPARISON, sides(DENSE, filled_with_misses(given, ANNOTATED))).items():
        np.testing.assert_array_equal(values, scores(sides(DENSE, given), ANNOTATED, COMPARISON)[name])
