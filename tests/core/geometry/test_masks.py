"""Lesion masks: IoU and Dice, their loss, and the box around one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from htltools.core.geometry.mask_comparison import (
    boxes_of_masks,
    iou_and_dice_of_arrays,
    loss_of_probabilities,
    mask_losses,
    mask_overlap,
    mask_shift,
    mask_smallness,
)
from htltools.core.geometry.masks import iou_and_dice, mask_boxes, mask_loss

BOOL = st.sampled_from([False, True])


def blob(size, *boxes, value=0.9):
    """A mask [1, H, W] that is `value` within boxes (x0, y0, x1, y1), and 0.1 elsewhere."""
    mask = torch.full((1, *size), 0.1)
    for x0, y0, x1, y1 in boxes:
        mask[0, y0:y1, x0:x1] = value
    return mask


@settings(deadline=None, max_examples=40)
@given(arrays(bool, (3, 4, 5), elements=BOOL), arrays(bool, (3, 4, 5), elements=BOOL))
def test_overlap_is_symmetric_and_dice_follows_from_iou(one, other):
    """IoU and Dice lie in [0, 1], are 1 for equal masks and symmetric, and Dice follows from IoU."""
    a, b = torch.from_numpy(one), torch.from_numpy(other)
    iou, dice = iou_and_dice(a, b)
    assert torch.equal(iou, iou_and_dice(b, a)[0])
    assert ((iou >= 0) & (iou <= 1)).all()
    torch.testing.assert_close(dice / (2 - dice), iou)
    assert (iou_and_dice(a, a)[0] == 1).all()


def test_two_empty_masks_agree():
    """Two empty masks have IoU and Dice 1, an empty and a full one 0."""
    empty, full = torch.zeros(1, 3, 3, dtype=torch.bool), torch.ones(1, 3, 3, dtype=torch.bool)
    assert [float(value) for value in iou_and_dice(empty, empty)] == [1, 1]
    assert [float(value) for value in iou_and_dice(empty, full)] == [0, 0]


def test_loss_worked_by_hand():
    """Probabilities of a half everywhere cost log 2 a pixel, and 1 less (2 * 1 + 1) / (2 + 2 + 1) for two lesion pixels of four.

    Of the projections, a half each, that of the columns is 1 and 1: 1 less 3 / 3.5; that of the rows is 1 and 0: 1 less 2 / 2.5.
    """
    annotated = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    expected = pytest.approx(np.log(2) + 1 - 3 / 5 + 1 - 3 / 3.5 + 1 - 2 / 2.5)
    assert float(mask_loss(torch.zeros(1, 2, 2), annotated)) == expected
    known = annotated.numpy()
    assert loss_of_probabilities(np.full((1, 2, 2), 0.5, np.float32), known)[0] == expected
    assert loss_of_probabilities(known, known)[0] < 1e-5 < loss_of_probabilities(1 - known, known)[0] < 20


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(7, 9), (32, 32), (40, 100), (96, 96)]))
def test_arrays_and_tensors_agree(seed, size):
    """What is computed of arrays, without torch, is what nets and ONNX files compute of tensors: boxes, IoU, Dice and the loss."""
    random = np.random.default_rng(seed)
    places = np.indices(size).transpose(1, 2, 0) / np.array(size)
    centres, spread = random.random((4, 2, 2)), random.uniform(0.02, 0.3, (4, 2, 1, 1))
    hills = np.exp(-(((places - centres[:, :, None, None]) / spread[..., None]) ** 2).sum(-1)).max(1)  # two in each of four masks
    masks = np.clip(random.random((4, 1, 1)) * hills + random.normal(0, 0.05, (4, *size)), 0, 1).astype(np.float32)
    tensors, annotated = torch.from_numpy(masks), (hills > 0.4).astype(np.float32)
    known = torch.from_numpy(annotated)
    np.testing.assert_allclose(boxes_of_masks(masks), mask_boxes(tensors).numpy(), atol=1e-5)
    np.testing.assert_array_equal(
        iou_and_dice_of_arrays(masks >= 0.5, annotated > 0), [each.numpy() for each in iou_and_dice(tensors >= 0.5, known > 0)]
    )
    expected = mask_loss(torch.logit(tensors, 1e-6), known).numpy()
    np.testing.assert_allclose(loss_of_probabilities(masks, annotated), expected, rtol=1e-4)


@pytest.mark.parametrize("size", [(32, 32), (40, 100), (96, 96), (7, 9)])
def test_box_is_tight(size):
    """The edges of the box lie within half a pixel of those of the region, at any size of image."""
    x0, y0, x1, y1 = size[1] // 4, size[0] // 3, size[1] // 4 * 3, size[0] // 3 * 2
    box = mask_boxes(blob(size, (x0, y0, x1, y1)))[0] * torch.tensor([size[1], size[0], size[1], size[0]])
    np.testing.assert_allclose(box, [x0, y0, x1, y1], atol=0.5)


def test_box_is_that_of_the_larger_region_and_reaches_the_border():
    """Of two separate regions the larger one counts, even if the smaller one is more probable; a region at the border reaches it."""
    mask = blob((64, 64), (0, 40, 30, 64)).maximum(blob((64, 64), (50, 4, 53, 7), value=0.99))
    np.testing.assert_allclose(mask_boxes(mask)[0] * 64, [0, 40, 30, 64], atol=0.5)


def test_a_faint_mask_has_a_box_all_the_same():
    """Where nothing reaches a half, the box lies around the highest place, be it one pixel, and has an area."""
    np.testing.assert_allclose(mask_boxes(blob((32, 32), (8, 10, 12, 14), value=0.3))[0] * 32, [8, 10, 12, 14], atol=0.5)
    np.testing.assert_allclose(mask_boxes(blob((32, 32), (8, 10, 9, 11), value=0.3))[0] * 32, [8, 10, 9, 11], atol=0.5)


def test_masks_are_compared():
    """Overlap, losses and smallness are those of masks, the shift is that of their boxes; a mask of NaN is none."""
    left, whole = blob((32, 32), (0, 0, 16, 32)).numpy(), blob((32, 32), (0, 0, 32, 32)).numpy()
    ours, none = np.concatenate([left, left]), np.full_like(left, np.nan)
    annotated = np.concatenate([(whole > 0.5).astype(np.float32), none])
    assert mask_overlap(ours, annotated) == pytest.approx([0.5, np.nan], nan_ok=True)
    assert mask_shift(ours, annotated) == pytest.approx([0.125, np.nan], abs=0.01, nan_ok=True)
    assert mask_smallness(annotated) == pytest.approx([0, np.nan], nan_ok=True)
    worse, better = mask_losses(np.stack([ours, np.concatenate([whole, whole])]), annotated)
    assert worse[0] > better[0] > 0 and np.isnan([worse[1], better[1]]).all()
    assert np.isnan(boxes_of_masks(none)).all()
