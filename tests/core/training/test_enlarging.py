"""Enlarged crops in training."""

import pytest
import torch

from htltools.core.geometry.warping import warp_boxes
from htltools.core.training.augmentation import Augmentation, draw_changes
from htltools.core.training.enlarging import Crops, crop_shares, cut_first, draw_crops

STILL = Augmentation(flip=(0, 0), shift=0, scale=0, stretch=0, light=0, colour=0)


def random():
    """A generator with a seed."""
    return torch.Generator().manual_seed(0)


def test_crops_show_the_box_large():
    """An image that is cut shows its box at 1 / factor of its sides, somewhere near the middle; the others stay as they are."""
    boxes = torch.tensor([[0.4, 0.5, 0.5, 0.7]]).repeat(400, 1)
    still = draw_changes(400, 3, STILL, random())
    change = cut_first(still, boxes, draw_crops(400, Crops(), random()), 0.5)
    cut = (change != still).any(1)
    assert 0.4 < cut.float().mean() < 0.6
    seen = warp_boxes(boxes, change[:, :2], change[:, 2:4])
    sides, centres = seen[:, 2:] - seen[:, :2], (seen[:, 2:] + seen[:, :2]) / 2
    assert (sides[cut] > 1 / 2.0 / 1.16).all() and (sides[cut] <= 1).all()
    assert (sides[~cut] - torch.tensor([0.1, 0.2])).abs().max() < 1e-5
    assert (centres[cut] - 0.5).abs().max() < 0.12 and centres[cut].std(0).min() > 0.02
    assert torch.equal(change[:, 4:], still[:, 4:])


def test_images_without_a_box_stay_whole():
    """There is nothing to cut around."""
    change = draw_changes(3, 3, Augmentation(), random())
    assert torch.equal(cut_first(change, torch.full((3, 4), torch.nan), draw_crops(3, Crops(), random()), 1.0), change)


def test_augmentation_goes_on_top():
    """A crop that is shifted and mirrored is the shifted and mirrored image of the crop."""
    boxes = torch.rand(50, 4, generator=random()).sort(1).values[:, [0, 1, 2, 3]]
    change, draws = draw_changes(50, 3, Augmentation(), random()), draw_crops(50, Crops(), random())
    still = cut_first(draw_changes(50, 3, STILL, random()), boxes, draws, 1.0)
    both = cut_first(change, boxes, draws, 1.0)
    inner = torch.tensor([[0.4, 0.4, 0.6, 0.6]]).repeat(50, 1)
    outer = inner * 2 - 1
    corners = (outer.view(-1, 2, 2) * still[:, None, :2] + still[:, None, 2:4]).reshape(-1, 4) / 2 + 0.5  # the inner box in the image
    assert warp_boxes(corners, both[:, :2], both[:, 2:4]) == pytest.approx(warp_boxes(inner, change[:, :2], change[:, 2:4]), abs=1e-4)


@pytest.mark.parametrize("boost", [0, 1, 3, 20])
def test_shares_by_weight(boost):
    """Hard ones are cut more often, in all as many as without; none more often than always."""
    weights = torch.ones(100) + boost * (torch.arange(100) < 30)
    shares = crop_shares(Crops(0.5), weights / weights.mean())
    assert shares.mean() == pytest.approx(0.5, abs=1e-5) and shares.max() <= 1
    assert shares[:30].std() < 1e-6 and shares[30:].std() < 1e-6 and shares[0] >= shares[-1]
    if boost == 1:
        assert shares[0] / shares[-1] == pytest.approx(2)
