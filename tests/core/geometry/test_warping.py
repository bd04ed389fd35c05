"""Images cut out and changed, and boxes, ellipses and masks that follow."""

import pytest
import torch

from htltools.core.geometry.masks import mask_boxes
from htltools.core.geometry.warping import ellipses, pasted, unwarp_boxes, warp, warp_boxes, windows

BOXES = torch.tensor([[0.25, 0.5, 0.5, 0.875], [0.1, 0.1, 0.2, 0.3], [0.0, 0.6, 0.3, 1.0]])
PLAIN = torch.ones(3, 2), torch.zeros(3, 2)


def painted(boxes, side=64):
    """Images float32 [B, 1, side, side] that are 1 in their box."""
    centres = (torch.arange(side) + 0.5) / side
    across = (centres > boxes[:, 0:1]) & (centres < boxes[:, 2:3])
    down = (centres > boxes[:, 1:2]) & (centres < boxes[:, 3:4])
    return (down.unsqueeze(2) & across.unsqueeze(1)).float().unsqueeze(1)


def test_no_change_is_none():
    """Factor 1 and offset 0 leave an image as it is."""
    images = torch.rand(3, 2, 12, 20, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(warp(images, *PLAIN), images, atol=1e-5)


def test_exported_windows_are_the_same(monkeypatch):
    """What is exported samples by products of matrices, and sees the same as what is not, also beyond the border and where it averages."""
    images = torch.rand(3, 2, 24, 40, generator=torch.Generator().manual_seed(0))
    factor, offset = torch.tensor([[-1.3, 0.8], [0.4, -0.5], [1.2, 1.1]]), torch.tensor([[0.3, -0.2], [-0.6, -0.5], [-0.7, 0.4]])
    changes = [(warp, images, factor, offset, size) for size in (None, (30, 50), (9, 16))]
    changes.append((pasted, images[:, 0], factor.abs(), offset, torch.zeros(3, 48, 48)))
    plain = [change(*values) for change, *values in changes]
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    exported = [change(*values) for change, *values in changes]
    for ours, theirs in zip(exported, plain, strict=True):
        assert ours.shape == theirs.shape and torch.allclose(ours, theirs, atol=1e-4)


def test_a_window_shows_its_box():
    """A window of 1.5 times a box shows the box in its middle, two thirds as wide and high as the window."""
    factor, offset = windows(BOXES[:2], 1.5)
    seen = warp(painted(BOXES[:2], 256), factor, offset)
    assert mask_boxes(seen[:, 0]) == pytest.approx(torch.tensor([[1 / 6, 1 / 6, 5 / 6, 5 / 6]] * 2), abs=0.03)
    assert warp_boxes(BOXES[:2], factor, offset) == pytest.approx(torch.tensor([[1 / 6, 1 / 6, 5 / 6, 5 / 6]] * 2), abs=1e-5)


def test_windows_lead_back():
    """A box that is seen in a window is put back where it was, cut at the border of the image; tiny boxes have windows of some size."""
    factor, offset = windows(BOXES, 1.4)
    assert unwarp_boxes(warp_boxes(BOXES, factor, offset), factor, offset) == pytest.approx(BOXES, abs=1e-6)
    assert unwarp_boxes(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), factor[2:], offset[2:])[0, 0] == 0
    assert windows(torch.tensor([[0.5, 0.5, 0.5, 0.5]]), 1.4)[0].tolist() == [[pytest.approx(0.05)] * 2]


def test_what_is_finer_is_averaged():
    """An image of fine stripes is grey where it is shown in an eighth of its size, not the stripes that a point happens to meet."""
    stripes = (torch.arange(64) % 2).float().expand(1, 1, 64, 64)
    small = warp(stripes, torch.ones(1, 2), torch.zeros(1, 2), (8, 8))
    assert small.shape == (1, 1, 8, 8)
    assert small == pytest.approx(torch.full((1, 1, 8, 8), 0.5), abs=0.05)


def test_ellipses_touch_their_boxes():
    """The ellipse of a box touches it at all four sides and covers pi / 4 of it; one that is cut out of the image moves with it."""
    masks = ellipses(BOXES, *PLAIN, (128, 128))
    assert mask_boxes(masks) == pytest.approx(BOXES, abs=0.012)
    area = (BOXES[:, 2:] - BOXES[:, :2]).prod(1)
    assert masks.mean((1, 2)) / area == pytest.approx(torch.full((3,), torch.pi / 4), abs=0.02)
    factor, offset = windows(BOXES, 2.0)
    assert mask_boxes(ellipses(BOXES, factor, offset, (128, 128)))[:2] == pytest.approx(
        torch.tensor([[0.25, 0.25, 0.75, 0.75]] * 2), abs=0.01
    )


def test_ellipses_are_changed_as_images():
    """Under any change an ellipse is what the image of that ellipse becomes, also where it is mirrored beyond the border."""
    drawn = ellipses(BOXES, *PLAIN, (96, 96)).unsqueeze(1)
    factor, offset = torch.tensor([[-1.3, 0.8], [0.4, -0.5], [1.2, 1.1]]), torch.tensor([[0.3, -0.2], [-0.6, -0.5], [-0.7, 0.4]])
    moved = warp(drawn, factor, offset)[:, 0] >= 0.5
    assert (ellipses(BOXES, factor, offset, (96, 96)).bool() ^ moved).float().mean() < 0.01


def test_masks_are_pasted():
    """The mask of a window takes its place; around the window the mask is the one before."""
    factor, offset = windows(BOXES[:2], 1.5)
    inner = painted(torch.tensor([[1 / 6, 1 / 6, 5 / 6, 5 / 6]] * 2))[:, 0]
    assert mask_boxes(pasted(inner, factor, offset, torch.zeros(2, 64, 64))) == pytest.approx(BOXES[:2], abs=0.02)
    around = pasted(inner, factor, offset, torch.full((2, 64, 64), 0.25))
    assert around[0, 0, 0] == 0.25 and (around == 0.25).float().mean() > 0.5
