"""Nets that predict class maps, and the localizers made of them."""

import numpy as np
import pytest
import torch

from htltools.core.nets.factory import architecture, build
from htltools.core.nets.onnx_wrapper import OnnxWrapper
from htltools.core.nets.state_arrays import from_weights, weights_of
from htltools.core.pruning.structured import prune_channels
from htltools.errors import UsageError

CLASSES = ["bkl", "mel", "nv"]


def images(count, size=(32, 32), seed=0):
    """Noise, uint8 [N, H, W, 3]."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, *size, 3), np.uint8))


def map_localizer(name="compact", size=(32, 32, 3)):
    """A fresh localizer by class maps."""
    torch.manual_seed(0)
    return build(architecture(name, size, "class_map", classes=CLASSES)).eval()


@pytest.mark.parametrize(("size", "finest"), [((32, 32), (16, 16)), ((64, 64), (16, 16)), ((128, 96), (16, 12)), ((33, 47), (17, 24))])
def test_compact_has_maps_of_several_sizes(size, finest):
    """The compact net scores the classes on maps of falling size, the finest first, whatever the frame; they come to a box."""
    model = map_localizer(size=(*size, 3))
    with torch.no_grad():
        maps = model.net(model.normalised(images(2, size)))
        boxes = model(images(2, size))
    assert [m.shape[:2] for m in maps] == [(2, 3)] * len(maps) and len(maps) >= 3
    assert maps[0].shape[2:] == finest
    assert all(a.shape[2] > b.shape[2] for a, b in zip(maps, maps[1:]))
    assert (boxes.shape, bool((boxes[:, :2] < boxes[:, 2:]).all())) == ((2, 4), True)


@pytest.mark.parametrize("name", ["compact", "mobilenet_v3_small"])
def test_weights_are_enough_to_build_it_again(name):
    """A localizer from the stored weights of another predicts the same bits; its threshold is one of them."""
    model = map_localizer(name, (64, 64, 3))
    model.threshold.fill_(0.4)
    again = from_weights(architecture(name, (64, 64, 3), "class_map", classes=CLASSES), weights_of(model))
    with torch.no_grad():
        assert again.threshold.item() == pytest.approx(0.4)
        assert torch.equal(model(images(2, (64, 64))), again(images(2, (64, 64))))


def test_a_mirrored_image_has_the_mirrored_box():
    """The map is the mean over mirror images, so that none of them is treated otherwise."""
    model = map_localizer()
    batch = images(4)
    with torch.no_grad():
        boxes, mirrored = model(batch), model(batch.flip(2))
    torch.testing.assert_close(
        mirrored[:, [2, 1, 0, 3]], boxes * torch.tensor([-1, 1, -1, 1]) + torch.tensor([1.0, 0, 1, 0]), atol=1e-4, rtol=0
    )


def test_a_net_without_maps_is_refused():
    """A plain transformer has one map only, that of its patches."""
    with pytest.raises(UsageError, match="too few maps"):
        map_localizer("vit_b_32", (224, 224, 3))


def test_channels_go_and_scores_stay():
    """Channel pruning leaves a smaller net that still scores every class."""
    model = map_localizer()
    small = prune_channels(model, 0.5, [32, 32, 3])
    assert sum(p.numel() for p in small.parameters()) < 0.6 * sum(p.numel() for p in model.parameters())
    with torch.no_grad():
        assert [m.shape[1] for m in small.net(small.normalised(images(2)))] == [3] * len(model.net.heads)


def test_shipped_answers_are_the_same():
    """The form that is exported predicts as the original, but for rounding."""
    model = map_localizer()
    with torch.inference_mode():
        assert (OnnxWrapper(model)(images(3)) - model(images(3))).abs().max() < 1e-4
