"""Augmentation: the box follows the picture."""

import numpy as np
import pytest
import torch

from htltools.core.augmentation import Augmentation, augmented

STILL = {"light": 0.0, "colour": 0.0}
MOVES = {
    "flip": Augmentation(flip=1, shift=0, scale=0, stretch=0, **STILL),
    "shift": Augmentation(flip=0, shift=0.1, scale=0, stretch=0, **STILL),
    "scale": Augmentation(flip=0, shift=0, scale=0.3, stretch=0, **STILL),
    "stretch": Augmentation(flip=0, shift=0, scale=0, stretch=0.2, **STILL),
    "all of them": Augmentation(flip=0.5, shift=0.1, scale=0.2, stretch=0.1, **STILL),
}
SIDE = 96


def rectangles(count, low=0.35, high=0.6):
    """Pictures float32 [N, 3, H, W] of one bright rectangle each, away from the border, and their boxes [N, 4]."""
    random = np.random.default_rng(0)
    x, boxes = torch.zeros(count, 3, SIDE, SIDE), []
    for picture in x:
        x0, y0 = random.integers(int(low * SIDE), SIDE // 2, 2)
        x1, y1 = random.integers(SIDE // 2 + 4, int(high * SIDE) + 4, 2)
        picture[:, y0:y1, x0:x1] = 1
        boxes.append([x0 / SIDE, y0 / SIDE, x1 / SIDE, y1 / SIDE])
    return x, torch.tensor(boxes, dtype=torch.float32)


def seen(picture) -> torch.Tensor:
    """The box around what is bright in a picture [C, H, W]."""
    bright = picture.mean(0) > 0.5
    columns, rows = bright.any(0).nonzero().flatten(), bright.any(1).nonzero().flatten()
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / SIDE


@pytest.mark.parametrize("move", MOVES)
def test_the_box_follows_the_picture(move):
    """A bright rectangle is found again where the returned box says, to a pixel, whatever was done to the picture."""
    x, boxes = rectangles(24)
    moved, follow = augmented(x, boxes, MOVES[move], torch.Generator().manual_seed(1))
    assert not torch.equal(moved, x)
    for picture, box in zip(moved, follow):
        assert (seen(picture) - box).abs().max() <= 1.01 / SIDE


def test_a_box_that_leaves_the_picture_is_cut_at_its_border():
    """Boxes stay inside the picture and in order, however far it moves."""
    x, _ = rectangles(64)
    boxes = torch.tensor([0, 0.05, 0.2, 0.9]).repeat(64, 1)
    _, follow = augmented(x, boxes, Augmentation(shift=0.3, scale=0.3), torch.Generator().manual_seed(0))
    assert ((follow >= 0) & (follow <= 1)).all()
    assert (follow[:, 2:] >= follow[:, :2]).all()
    assert (follow[:, 0] == 0).any()


def test_nothing_asked_nothing_changed():
    """An augmentation of zeros gives the picture and the boxes back."""
    x, boxes = rectangles(4)
    still, same = augmented(x, boxes, Augmentation(0, 0, 0, 0, 0, 0), torch.Generator().manual_seed(0))
    assert torch.allclose(still, x, atol=1e-5)
    assert torch.allclose(same, boxes, atol=1e-6)


def test_light_leaves_the_box_alone():
    """Light and colour change the picture and not the box, and each channel in its own way."""
    x, boxes = rectangles(4)
    lit, same = augmented(x, boxes, Augmentation(flip=0, shift=0, scale=0, stretch=0), torch.Generator().manual_seed(0))
    assert torch.allclose(same, boxes, atol=1e-6)
    assert not torch.allclose(lit, x, atol=0.01)
    assert not torch.allclose(lit[:, 0], lit[:, 1], atol=0.001)


def test_the_same_generator_draws_the_same():
    """Random numbers come from the given generator alone: equal seeds give equal batches, and torch's own state stays."""
    x, boxes = rectangles(4)
    state = torch.get_rng_state()
    first, second, third = (augmented(x, boxes, Augmentation(), torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[1], third[1])
    assert torch.equal(torch.get_rng_state(), state)
