"""Learning masks, and the nets that predict them."""

import numpy as np
import pytest
import torch

from htltools.core.geometry.masks import mask_boxes
from htltools.core.nets.factory import architecture, build
from htltools.core.nets.state_arrays import from_weights, weights_of
from htltools.core.pruning.structured import prune_channels
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.augmentation import Augmentation, augmented, changed_with_masks, draw_changes
from htltools.core.training.loop import trained
from htltools.core.training.objectives.mask import MaskObjective, constant_mask_iou, mask_margins
from htltools.core.training.schedule import Recipe
from htltools.core.training.validation import mean_iou
from htltools.errors import UsageError

CPU = Runtime("cpu")
RECIPE = Recipe(epochs=4, batch_size=16)
SIZE = 32, 32, 3


class Masked:
    """The images of a shelf with the mask of their rectangle as a fourth channel."""

    def __init__(self, shelf):
        masks = np.zeros((*shelf.shape[:3], 1), np.uint8)
        for mask, box in zip(masks, (shelf.boxes * SIZE[0]).round().astype(int)):
            mask[box[1] : box[3], box[0] : box[2]] = 255
        self.images = np.concatenate([shelf.images, masks], 3)
        self.shape = self.images.shape

    def batch(self, chosen):
        """The chosen images with their masks."""
        return self.images[chosen]


@pytest.fixture(scope="module")
def learning(shelf):
    """`learning(name, recipe)` is a training of a fresh net on the shelf."""

    def objective(name="compact_unet", recipe=RECIPE, weights=None):
        torch.manual_seed(0)
        weights = np.ones(48, np.float32) if weights is None else weights
        has_mask = np.ones(48, bool)
        return MaskObjective(build(architecture(name, SIZE, "mask")), Masked(shelf), shelf.boxes, has_mask, weights, recipe, CPU)

    return objective


@pytest.fixture(scope="module")
def undisturbed(learning, shelf, other_shelf):
    """The objective and the states of a training of four epochs."""
    objective = learning()
    return objective, list(trained(objective, (Masked(other_shelf), other_shelf.boxes), RECIPE, CPU))


def test_masks_are_learned(undisturbed, other_shelf):
    """A few epochs find rectangles in images that were not seen; validation is the IoU of masks, and better than one constant mask."""
    objective, states = undisturbed
    reached = states[-1].log[-1]["val_iou"]
    assert reached == pytest.approx(mean_iou(objective.model, Masked(other_shelf), other_shelf.boxes, CPU.at(16)), abs=1e-6)
    assert max(entry["val_iou"] for entry in states[-1].log) > constant_mask_iou(Masked(other_shelf), Masked(other_shelf)) + 0.1


def test_a_stopped_training_ends_as_an_undisturbed_one(learning, undisturbed, other_shelf):
    """Bit for bit, with the same record of every sample."""
    objective = learning()
    halfway = next(state for state in trained(objective, (Masked(other_shelf), other_shelf.boxes), RECIPE, CPU) if state.epoch == 2)
    again = learning()
    resumed = list(trained(again, (Masked(other_shelf), other_shelf.boxes), RECIPE, CPU, resume=halfway))
    expected = undisturbed[1][-1]
    assert all(torch.equal(resumed[-1].weights[name], tensor) for name, tensor in expected.weights.items())
    assert torch.equal(again.record.iou, undisturbed[0].record.iou)
    assert again.record.margin.shape == (4, 48)


def test_weights_count(learning):
    """A sample of weight 0 does not pull at the net: what its mask says changes nothing."""
    losses = []
    for wrong in (False, True):
        objective = learning(weights=np.repeat(np.float32([0, 2]), 24), recipe=Recipe(1, 48, augmentation=Augmentation()))
        if wrong:
            objective.images.images[:24, ..., 3] = 255
        losses.append([loss.item() for loss in objective.losses(0)])
    assert losses[0] == losses[1]


def test_masks_go_where_their_images_go():
    """An image that shows its own mask still shows it after any change, also where it is mirrored beyond the border."""
    mask = torch.zeros(8, 32, 32, 1, dtype=torch.uint8)
    mask[:, 3:20, :14] = 255
    change = draw_changes(8, 3, Augmentation(light=0, colour=0), torch.Generator().manual_seed(1))
    gain, bias = torch.full((1, 3, 1, 1), 1 / 255), torch.zeros(1, 3, 1, 1)
    x, masks = changed_with_masks(mask.expand(-1, -1, -1, 4), change, gain, bias)
    assert torch.equal(x[:, 0] >= 0.5, masks > 0)
    assert torch.equal(x, augmented(mask.expand(-1, -1, -1, 3), torch.zeros(8, 4), change, gain, bias)[0])


def test_margins():
    """A prediction that fits its own mask best has a positive margin; the same sample twice in a batch is no other."""
    masks = torch.zeros(3, 4, 4, dtype=torch.bool)
    masks[0, :, :2] = masks[1, :, 1:] = masks[2, :, :2] = True
    own, margin = mask_margins(torch.tensor([5, 6, 5]), masks, masks)
    assert own.tolist() == [1, 1, 1]
    assert margin.tolist() == pytest.approx([1 - 0.25 / 1, 1 - 0.25, 1 - 0.25])  # 4 of 16 pixels of the union are in both


def test_batches_of_one_are_refused(learning):
    """Some of these nets have no statistics of a single image."""
    with pytest.raises(UsageError, match="batches of 1"):
        learning(recipe=Recipe(1, batch_size=1))


@pytest.mark.parametrize("name", ["compact_unet", "lraspp_mobilenet_v3_large"])
def test_nets(name):
    """A net predicts a mask in the frame of the image, and with the box around it; its weights are enough to build it anew."""
    shape = architecture(name, (40, 56, 3), "mask")
    model = build(shape).eval()
    images = torch.randint(0, 256, (2, 40, 56, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        masks = model.masks(model.normalised(images))
        assert masks.shape == (2, 40, 56)
        assert ((masks >= 0) & (masks <= 1)).all()
        assert torch.equal(model(images), mask_boxes(masks))
        assert torch.equal(from_weights(shape, weights_of(model))(images), model(images))
    narrow = prune_channels(model, 0.5, [40, 56, 3])
    with torch.inference_mode():
        assert narrow.masks(narrow.normalised(images)).shape == (2, 40, 56)
        assert torch.equal(from_weights(shape, weights_of(narrow))(images), narrow(images))
    assert sum(p.numel() for p in narrow.parameters()) < 0.6 * sum(p.numel() for p in model.parameters())


def test_what_cannot_be_built():
    """Tiny images, and ImageNet weights of the compact net, are refused in words."""
    with pytest.raises(UsageError, match="masks of 4x12 images cannot be learned"):
        build(architecture("compact_unet", (12, 4, 3), "mask"))
    with pytest.raises(UsageError, match="no ImageNet weights for compact_unet"):
        build(architecture("compact_unet", SIZE, "mask"), imagenet=True)
