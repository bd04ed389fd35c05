"""Augmentation: the box follows the image."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from htltools.core.training.augmentation import Augmentation, augmented, draw_changes, warp

STILL = {"light": 0.0, "colour": 0.0}
MOVES = {
    "flip": Augmentation(flip=1, shift=0, scale=0, stretch=0, **STILL),
    "pruned_shift": Augmentation(flip=0, shift=0.1, scale=0, stretch=0, **STILL),
    "scale": Augmentation(flip=0, shift=0, scale=0.3, stretch=0, **STILL),
    "stretch": Augmentation(flip=0, shift=0, scale=0, stretch=0.2, **STILL),
    "all of them": Augmentation(flip=0.5, shift=0.1, scale=0.2, stretch=0.1, **STILL),
}
SIDE = 96


def rectangles(count, low=0.35, high=0.6):
    """Images float32 [N, 3, H, W] of one bright rectangle each, away from the border, and their boxes [N, 4]."""
    random = np.random.default_rng(0)
    x, boxes = torch.zeros(count, 3, SIDE, SIDE), []
    for image in x:
        x0, y0 = random.integers(int(low * SIDE), SIDE // 2, 2)
        x1, y1 = random.integers(SIDE // 2 + 4, int(high * SIDE) + 4, 2)
        image[:, y0:y1, x0:x1] = 1
        boxes.append([x0 / SIDE, y0 / SIDE, x1 / SIDE, y1 / SIDE])
    return x, torch.tensor(boxes, dtype=torch.float32)


def changed(x, boxes, how, seed=0):
    """Images float32 [N, 3, H, W] of 0 and 1, and boxes, changed at random."""
    change = draw_changes(len(x), 3, how, torch.Generator().manual_seed(seed))
    stored = (x * 255).to(torch.uint8).permute(0, 2, 3, 1)
    return augmented(stored, boxes, change, torch.full((1, 3, 1, 1), 1 / 255), torch.zeros(1, 3, 1, 1))


def seen(image) -> torch.Tensor:
    """The box around what is bright in an image [C, H, W]."""
    bright = image.mean(0) > 0.5
    columns, rows = bright.any(0).nonzero().flatten(), bright.any(1).nonzero().flatten()
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / SIDE


@pytest.mark.parametrize("move", MOVES)
def test_the_box_follows_the_image(move):
    """A bright rectangle is found again where the returned box says, to a pixel, whatever was done to the image."""
    x, boxes = rectangles(24)
    moved, follow = changed(x, boxes, MOVES[move], 1)
    assert not torch.equal(moved, x)
    for image, box in zip(moved, follow):
        assert (seen(image) - box).abs().max() <= 1.01 / SIDE


def test_a_box_that_leaves_the_image_is_cut_at_its_border():
    """Boxes stay inside the image and in order, however far it moves."""
    x, _ = rectangles(64)
    boxes = torch.tensor([0, 0.05, 0.2, 0.9]).repeat(64, 1)
    _, follow = changed(x, boxes, Augmentation(shift=0.3, scale=0.3))
    assert ((follow >= 0) & (follow <= 1)).all()
    assert (follow[:, 2:] >= follow[:, :2]).all()
    assert (follow[:, 0] == 0).any()


def test_nothing_asked_nothing_changed():
    """An augmentation of zeros gives the image and the boxes back."""
    x, boxes = rectangles(4)
    still, same = changed(x, boxes, Augmentation(0, 0, 0, 0, 0, 0))
    assert torch.allclose(still, x, atol=1e-5)
    assert torch.allclose(same, boxes, atol=1e-6)


def test_light_leaves_the_box_alone():
    """Light and colour change the image and not the box, and each channel in its own way."""
    x, boxes = rectangles(4)
    lit, same = changed(x, boxes, Augmentation(flip=0, shift=0, scale=0, stretch=0))
    assert torch.allclose(same, boxes, atol=1e-6)
    assert not torch.allclose(lit, x, atol=0.01)
    assert not torch.allclose(lit[:, 0], lit[:, 1], atol=0.001)


def test_the_same_generator_draws_the_same():
    """Random numbers come from the given generator alone: equal seeds give equal batches, and torch's own state stays."""
    x, boxes = rectangles(4)
    state = torch.get_rng_state()
    first, second, third = (changed(x, boxes, Augmentation(), seed) for seed in (5, 5, 6))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[1], third[1])
    assert torch.equal(torch.get_rng_state(), state)


def test_normalisation_is_within():
    """What comes out is what augmenting the normalised image would give: gain and bias are those of the model."""
    x, boxes = rectangles(3)
    gain, bias = torch.tensor([2.0, 3.0, 4.0]).view(1, 3, 1, 1), torch.tensor([-1.0, 0.5, 2.0]).view(1, 3, 1, 1)
    change = draw_changes(3, 3, Augmentation(), torch.Generator().manual_seed(0))
    stored = (x * 255).to(torch.uint8).permute(0, 2, 3, 1)
    moved, _ = augmented(stored, boxes, change, gain / 255, bias)
    plain, _ = augmented(stored, boxes, torch.cat([change[:, :4], torch.ones(3, 1), torch.zeros(3, 3)], 1), gain / 255, bias)
    assert torch.allclose(moved, plain * change[:, 4].view(3, 1, 1, 1) + change[:, 5:].view(3, 3, 1, 1), atol=1e-4)


def test_beyond_the_border_it_is_mirrored():
    """Where the new image reaches beyond the old one, torch's own reflection shows the same."""
    x = torch.rand(8, 3, 24, 20, generator=torch.Generator().manual_seed(0))
    factor, offset = torch.full((8, 2), 1.7), torch.linspace(-0.9, 0.9, 16).view(8, 2)
    theta = torch.zeros(8, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = factor[:, 0], factor[:, 1], offset
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    assert torch.allclose(
        warp(x, factor, offset), functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False), atol=1e-5
    )
