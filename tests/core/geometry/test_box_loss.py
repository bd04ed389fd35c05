"""The training loss of a box."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from htltools.core.geometry.box_loss import EDGES, SMOOTH, box_loss
from htltools.core.geometry.boxes import box_losses

edge = st.floats(0, 1, width=32)


def test_worked_by_hand():
    """Half of the box's height missed: smooth L1 of one edge in four times 5, plus 1 - IoU."""
    loss = box_loss(torch.tensor([0, 0, 0.5, 0.5]), torch.tensor([0, 0, 0.5, 1.0]))
    assert loss.item() == pytest.approx(EDGES * (0.5 - SMOOTH / 2) / 4 + 0.5, abs=1e-5)


def test_apart():
    """Boxes that do not meet: the share of their hull that neither covers is added to 1 - IoU."""
    loss = box_loss(torch.tensor([0, 0, 0.25, 1.0]), torch.tensor([0.75, 0, 1, 1.0]))
    assert loss.item() == pytest.approx(EDGES * 2 * (0.75 - SMOOTH / 2) / 4 + 1.5, abs=1e-5)


def test_one_annotation_for_several_models():
    """Shapes broadcast: [M, N, 4] against [N, 4] gives [M, N]."""
    assert box_loss(torch.rand(3, 5, 4), torch.rand(5, 4)).shape == (3, 5)


def test_half_precision_is_computed_in_full():
    """The loss of bf16 predictions is float32."""
    assert box_loss(torch.rand(2, 4).bfloat16(), torch.rand(2, 4)).dtype == torch.float32


@settings(deadline=None, max_examples=60)
@given(st.lists(edge, min_size=8, max_size=8))
def test_bounds_and_zero(edges):
    """The loss is finite and 0 or more, and 0 for a box with an area that equals its annotation."""
    corners = torch.tensor(edges).view(2, 2, 2)
    first, second = torch.cat([corners.amin(1), corners.amax(1)], 1)
    assert -1e-6 <= box_loss(first, second).item() <= EDGES + 2
    if (first[2:] - first[:2]).min() > 0.01:
        assert box_loss(first, first).item() == pytest.approx(0, abs=1e-3)


def test_gradients_point_to_the_box_and_are_finite_without_area():
    """A step against the gradient brings a box nearer, and a box without area has a finite gradient."""
    target = torch.tensor([0.4, 0.4, 0.6, 0.6])
    for start in ([0.0, 0.0, 0.1, 0.1], [0.5, 0.5, 0.5, 0.5], [0.1, 0.2, 0.9, 0.8]):
        box = torch.tensor(start, requires_grad=True)
        before = box_loss(box, target)
        before.backward()
        assert box.grad.isfinite().all()
        assert box_loss(box.detach() - 1e-3 * box.grad, target) < before


@settings(deadline=None)
@given(st.lists(edge, min_size=8, max_size=8))
def test_arrays_and_tensors_agree(edges):
    """The loss of arrays, without torch, is that of tensors."""
    boxes = np.sort(np.array(edges, np.float32).reshape(2, 2, 2), 1).reshape(2, 4)
    assert box_losses(boxes[0], boxes[1]) == pytest.approx(box_loss(*torch.from_numpy(boxes)).item(), abs=1e-5)
