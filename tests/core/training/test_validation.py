"""What validation says of a localizer, in one pass over the images, is what separate passes say."""

import numpy as np
import pytest
import torch

from htltools.core.nets.factory import architecture, build
from htltools.core.nets.looks import Looks
from htltools.core.runtime.image_sources import ImagesInMemory
from htltools.core.runtime.predict import AT_ONCE_ON_CPU
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.validation import losses_and_mean_iou, mean_iou, mean_ious

CPU = Runtime("cpu", batch_size=16)
WAYS = [
    Looks(),
    Looks(2, 1.2),
    Looks(3, 1.2, True),
    Looks(2, 1.7),
    Looks(3, 1.2, agree=0.6),
    Looks(2, 1.4, at="random"),
    Looks(2, 1.4, box=(0.2, 0.2, 0.6, 0.7)),
]


def a_model(arch, task="box"):
    """An untrained localizer, whose looks differ."""
    torch.manual_seed(0)
    return build(architecture(arch, (32, 32, 3), task)).eval()


def with_masks(shelf):
    """The images of a shelf with a mask as a channel more: the pixels inside the box."""
    y, x = np.mgrid[:32, :32] / 32
    inside = [(x >= a) & (x < c) & (y >= b) & (y < d) for a, b, c, d in shelf.boxes]
    return ImagesInMemory(np.concatenate([shelf.images, np.stack(inside)[..., None].astype(np.uint8) * 255], 3))


@pytest.mark.parametrize("arch, task", [("compact", "box"), ("compact_unet", "box"), ("compact_unet", "mask")])
def test_ways_to_look_share_their_passes(shelf, arch, task):
    """The mean IoU of each way to look is that of the model alone, and the net runs once for each look at other windows."""
    model, images = a_model(arch, task), with_masks(shelf) if task == "mask" else shelf
    passes = []
    model.net.register_forward_hook(lambda *_: passes.append(1))
    together = mean_ious(model, WAYS, images, shelf.boxes, CPU)
    batches = -(-len(shelf.boxes) // AT_ONCE_ON_CPU)
    assert len(passes) == batches * (1 + 2 + 1 + 1 + 1)  # the whole; windows of 1.2, twice; of 1.7; two controls
    alone = []
    for model.looks in WAYS:
        alone.append(mean_iou(model, images, shelf.boxes, CPU))
    assert together == pytest.approx(alone, abs=1e-6) and len(set(alone)) > 3


@pytest.mark.parametrize("task", ["box", "mask"])
def test_losses_and_iou_in_one_pass(shelf, task):
    """The loss of the first look, and the IoU after all looks, with as many passes as there are looks; the model stays in its mode."""
    model, images = a_model("compact_unet", task).train(), with_masks(shelf) if task == "mask" else shelf
    model.looks = Looks(2)
    passes = []
    model.net.register_forward_hook(lambda *_: passes.append(1))
    losses, reached = losses_and_mean_iou(model, images, shelf.boxes, CPU)
    assert model.training and len(passes) == 2 * -(-len(shelf.boxes) // 64)
    assert reached == pytest.approx(mean_iou(model, images, shelf.boxes, CPU), abs=1e-6)
    model.eval()
    with torch.no_grad():
        raw = model.net(model.normalised(torch.from_numpy(shelf.images)))
        if task == "mask":
            targets = torch.from_numpy(images.images[..., 3] > 127).float()
        else:
            boxes = torch.from_numpy(shelf.boxes).float()
            u = (torch.arange(32) + 0.5) / 32
            centre, radius = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
            across, down = (((u - centre[:, axis, None]) / radius[:, axis, None]) ** 2 for axis in (0, 1))
            targets = (across[:, None] + down[:, :, None] <= 1).float()
        np.testing.assert_allclose(losses, model.training_loss(raw, targets), atol=1e-4)
