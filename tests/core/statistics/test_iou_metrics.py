"""The metrics of one box per sample."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import box_iou

from htltools.core.geometry.boxes import iou
from htltools.core.statistics.iou_metrics import metric_values
from htltools.formats.rows.vocabulary import METRICS

# Annotated [0, 0, 10, 10]; the predictions cover w x 10 pixels of it, so that IoU = w / 10.
BY_HAND = {
    "iou_mean": 0.49,  # (1.0 + .9 + .75 + .5 + .3 + .0 + .0 + .7 + .05 + .7) / 10
    "iou_median": 0.6,  # between .5 and .7
    "iou_p10": 0.0,  # place .1 * 9 = .9 of 0, 0, .05, ...
    "acc@0.3": 0.7,
    "acc@0.5": 0.6,
    "acc@0.7": 0.5,
    "acc@0.75": 0.3,
    "acc@0.9": 0.2,
    "failure_rate": 0.3,
}


def test_hand_worked_table():
    """Ten boxes give the numbers computed by hand; a box exactly on a threshold counts as right."""
    widths = np.array([10, 9, 7.5, 5, 3, 0, 0, 7, 0.5, 7])
    predictions = np.column_stack([np.zeros(10), np.zeros(10), widths, np.full(10, 10.0)])
    values = metric_values(iou(predictions, np.tile([0, 0, 10, 10.0], (10, 1))))
    assert {name: value.tolist() for name, value in values.items()} == {name: pytest.approx([value]) for name, value in BY_HAND.items()}


def test_names_are_those_of_the_schema():
    """Every metric of boxes that the schema describes is computed, in its order, and no other; those of masks and maps follow."""
    of_boxes = list(metric_values(np.array([0.5])))
    assert of_boxes == list(METRICS)[: len(of_boxes)]
    assert list(METRICS)[len(of_boxes) :] == [
        "dice", "mask_iou", "hd95", "assd", "boundary_iou", "maxboxacc_v2", "maxboxacc_v2_oracle", "ap", "ap50", "ap75",
        "precision", "recall", "f1", "fp_per_image", "froc@0.125", "froc@0.25", "froc@0.5", "froc@1", "froc@2", "froc@4", "froc@8",
        "froc_mean", "class_ap", "class_ap50", "class_ap75", "class_precision", "class_recall", "class_f1", "pxap",
    ]  # fmt: skip


def test_agrees_with_torchvision():
    """Mean IoU and Acc@T are those that torchvision's IoU gives."""
    generator = np.random.default_rng(0)
    corners = generator.random((2, 500, 2, 2))
    ours, theirs = np.concatenate([corners.min(2), corners.max(2)], 2)
    expected = box_iou(torch.from_numpy(ours), torch.from_numpy(theirs)).diagonal().numpy()
    values = metric_values(iou(ours, theirs))
    assert values["iou_mean"][0] == pytest.approx(expected.mean())
    assert values["acc@0.3"][0] == pytest.approx((expected >= 0.3).mean())
    assert values["iou_p10"][0] == pytest.approx(np.quantile(expected, 0.1))


def test_a_missing_prediction_is_a_failure():
    """A missing prediction counts as IoU 0, and is not left out of the mean."""
    values = metric_values(np.array([1.0, np.nan]))
    assert (values["iou_mean"][0], values["failure_rate"][0]) == (0.5, 0.5)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3)), min_size=1, max_size=12).filter(lambda pairs: any(n for _, n in pairs)))
def test_multiplicities_are_repeats(pairs):
    """A sample taken three times counts as three samples, in the means and in the quantiles."""
    values, times = np.array([value for value, _ in pairs]), np.array([[n for _, n in pairs]])
    repeated = metric_values(values.repeat(times[0]))
    for name, value in metric_values(values, times).items():
        assert value == pytest.approx(repeated[name], abs=1e-12)
        assert -1e-12 <= value[0] <= 1 + 1e-12


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_quantiles_are_those_of_numpy(values):
    """Median and 10th percentile follow numpy's definition."""
    metrics = metric_values(np.array(values))
    assert metrics["iou_median"][0] == pytest.approx(np.median(values), abs=1e-12)
    assert metrics["iou_p10"][0] == pytest.approx(np.quantile(values, 0.1), abs=1e-12)
