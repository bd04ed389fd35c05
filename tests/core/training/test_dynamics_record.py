"""Training dynamics of samples."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from htltools.core.geometry.box_loss import box_iou
from htltools.core.geometry.boxes import iou
from htltools.core.nets.factory import architecture, build
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.dynamics_record import Record
from htltools.core.training.loop import trained
from htltools.core.training.objectives.box import BoxObjective
from htltools.core.training.schedule import Recipe

CPU = Runtime("cpu")
RECIPE = Recipe(epochs=3, batch_size=20)  # of 48: batches of 16


def recorded(shelf, resume=None, at_once=1):
    """The states of a training, and its record in the end."""
    torch.manual_seed(0)
    objective = BoxObjective(build(architecture("compact", (32, 32, 3))), shelf, shelf.boxes, np.ones(48, np.float32), RECIPE, CPU)
    assert objective.decoded_at_once == 1
    objective.decoded_at_once = at_once
    return list(trained(objective, None, RECIPE, CPU, resume=resume)), objective.record


@pytest.fixture(scope="module")
def undisturbed(shelf):
    """The states of a training of three epochs, and its record."""
    return recorded(shelf)


def test_margins_by_hand():
    """The margin is the IoU with the own box less the largest with the box of another sample of the batch, not of itself."""
    left, right, half = [0, 0, 0.5, 1], [0.5, 0, 1, 1], [0, 0, 0.5, 0.5]
    record = Record(4)
    record.add_boxes([torch.tensor([0, 2, 3])], [torch.tensor([[left, left], [left, right], [right, half]])])
    assert record.iou.numpy() == pytest.approx(np.array([[1, np.nan, 0, 0]]), nan_ok=True)
    assert record.margin.numpy() == pytest.approx(np.array([[0.5, np.nan, -1, -1]]), nan_ok=True)


def test_a_sample_seen_twice_has_the_mean():
    """Where a sample comes twice in an epoch, also in one batch, its values are means, and it is no other sample of itself."""
    left, right = [0, 0, 0.5, 1], [0.5, 0, 1, 1]
    record = Record(1)
    record.add_boxes([torch.tensor([0, 0])], [torch.tensor([[left, left], [left, right]])])
    assert record.iou.tolist() == record.margin.tolist() == [[0.5]]


corners = arrays(np.float32, (5, 4), elements=st.floats(0, 1, width=16))


@given(corners, corners)
def test_overlaps_are_those_of_numpy(a, b):
    """IoU by tensors is IoU by arrays, for sorted corners; boxes without area overlap nothing."""
    a, b = (np.concatenate([np.minimum(c[:, :2], c[:, 2:]), np.maximum(c[:, :2], c[:, 2:])], 1) for c in (a, b))
    assert box_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy() == pytest.approx(iou(a, b), abs=1e-5)


def test_every_epoch_is_there(undisturbed):
    """Each epoch has the IoU and margin of every sample; a margin is never above its IoU."""
    _, record = undisturbed
    assert record.iou.shape == record.margin.shape == (3, 48)
    assert (~record.iou.isnan()).sum(1).tolist() == [48, 48, 48]
    assert torch.equal(record.iou.isnan(), record.margin.isnan())
    assert (record.margin[~record.margin.isnan()] <= record.iou[~record.iou.isnan()]).all()


@pytest.mark.parametrize("at_once", [100, 10000])  # numbers, of 64 in a batch
def test_predictions_of_several_steps_are_decoded_together(shelf, undisturbed, at_once):
    """A GPU decodes the predictions of several steps at once, the last of an epoch with fewer: the record is the same."""
    states, whole = undisturbed
    again, record = recorded(shelf, at_once=at_once)
    assert torch.equal(record.iou, whole.iou) and torch.equal(record.margin, whole.margin)
    assert all(torch.equal(again[-1].weights[name], value) for name, value in states[-1].weights.items())


@pytest.mark.parametrize("stopped_after", [1, 2])
def test_a_resumed_training_has_the_same_record(shelf, undisturbed, stopped_after):
    """A training that stops and goes on ends with the record of an undisturbed one, bit for bit."""
    states, whole = undisturbed
    _, record = recorded(shelf, resume=states[stopped_after - 1])
    assert torch.equal(record.iou.nan_to_num(-9), whole.iou.nan_to_num(-9))
    assert torch.equal(record.margin.nan_to_num(-9), whole.margin.nan_to_num(-9))
