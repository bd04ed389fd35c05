"""How predictions agree with the annotation, and the metrics that follow."""

import numpy as np
import pytest

from htltools.core.statistics.cluster_bootstrap import estimates
from htltools.core.statistics.sample_metrics import BoxMetrics, MaskMetrics
from htltools.core.statistics.subgroup_gaps import subgroup_gaps

DICE = np.array([1.0, 0.5, np.nan, 0.0])
OUTLINES = np.array([[0, 0, 1], [0.2, 0.1, 0.4], [0.7, 0.7, 0.7], [1, 1, 0]])
MASKS = MaskMetrics(np.array([0.9, 0.4, 0.8, 0.0]), DICE, OUTLINES)


def test_dice_is_a_mean_over_the_masks_that_are_known():
    """A sample without a mask counts in the figures of the box alone; of no masks at all there is no Dice."""
    values = MASKS.values()
    assert values["dice"][0] == 0.5
    assert values["mask_iou"][0] == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert values["iou_mean"][0] == pytest.approx(0.525)
    assert [values[name][0] for name in ("hd95", "assd", "boundary_iou")] == pytest.approx([1.2 / 3, 1.1 / 3, 1.4 / 3])
    drawn = MASKS.values(np.array([[2, 1, 5, 0], [0, 0, 4, 0]]))
    assert drawn["dice"][0] == pytest.approx(2.5 / 3)
    assert np.isnan(drawn["dice"][1])
    assert MASKS.at(np.array([1, 2])).dice.tolist() == pytest.approx([0.5, np.nan], nan_ok=True)


def test_dice_has_intervals_and_gaps():
    """Intervals, differences and gaps hold for Dice as for the figures of the box."""
    random = np.random.default_rng(0)
    level = np.repeat([0, 1], 40)
    ours = MaskMetrics(random.random(80), np.where(level == 0, 0.9, 0.6) + 0.1 * random.random(80), random.random((80, 3)))
    theirs = MaskMetrics(ours.iou, ours.dice - 0.1, ours.outlines + [0.01, 0, 0])
    groups = [str(i) for i in range(80)]
    results = estimates(ours, groups, theirs, seed=0, resamples=200)
    assert results["dice"].low < results["dice"].value < results["dice"].high
    assert (results["dice.delta"].low, results["dice.delta"].high) == pytest.approx((0.1, 0.1))
    assert results["hd95.delta"].value == pytest.approx(-0.01)
    gap, change = subgroup_gaps(ours, level, groups, theirs, seed=0, resamples=200)["dice"]
    assert (gap.best, gap.worst) == (0, 1)
    assert gap.distance.value == pytest.approx(0.3, abs=0.03)
    assert gap.p < 0.01
    assert change.distance.value == pytest.approx(0)
    boxes_alone = estimates(BoxMetrics(ours.iou), groups, theirs, seed=0, resamples=200)
    assert "dice.delta" not in boxes_alone and "iou_mean.delta" in boxes_alone
