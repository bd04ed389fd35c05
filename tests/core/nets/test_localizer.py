"""Localizers."""

import numpy as np
import pytest
import torch

from htltools.core.geometry.boxes import fraction_boxes, pixel_boxes
from htltools.core.nets.factory import architecture, build
from htltools.core.nets.state_arrays import from_weights, weights_of
from htltools.errors import DataError, UsageError


def images(count=4, size=(32, 32), seed=0):
    """Noise, uint8 [N, H, W, 3]."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, *size, 3), np.uint8))


@pytest.mark.parametrize("size", [(32, 32), (48, 40), (33, 47), (96, 128)])
def test_compact_takes_any_frame(size):
    """The compact net predicts boxes in [0, 1], corners in order, for images of any frame."""
    net = build(architecture("compact", (*size, 3))).eval()
    with torch.no_grad():
        net.net[-1][-1].weight *= 100  # far out, where the sigmoid saturates
        boxes = net(images(8, size))
    assert boxes.shape == (8, 4)
    assert ((boxes >= 0) & (boxes <= 1)).all()
    assert (boxes[:, :2] <= boxes[:, 2:]).all()


@pytest.mark.parametrize("name", ["compact", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_weights_are_enough_to_build_it_again(name):
    """A localizer from the stored weights of another predicts the same bits."""
    shape = architecture(name, (64, 64, 3))
    torch.manual_seed(1)
    before = build(shape).eval()
    after = from_weights(shape, weights_of(before))
    assert not after.training
    with torch.no_grad():
        assert torch.equal(before(images(2, (64, 64))), after(images(2, (64, 64))))


def test_normalisation_is_not_part_of_the_weights(localizer):
    """The state holds what was learned, and nothing that the preprocessing already says."""
    assert not {"mean", "std"} & weights_of(localizer).keys()


def test_unknown_names_are_refused():
    """A name that torchvision does not know is refused with some that it does."""
    with pytest.raises(UsageError, match="no model is called 'resnet19'; use compact or one of torchvision's: alexnet"):
        build(architecture("resnet19", (32, 32, 3)))
    with pytest.raises(UsageError, match="there are no ImageNet weights for compact; start from fresh weights"):
        build(architecture("compact", (32, 32, 3)), imagenet=True)


@pytest.mark.parametrize("change", ["missing", "unknown", "shape", "other net"])
def test_weights_that_do_not_fit_are_refused(localizer, change):
    """Weights of another net, or with a tensor too many or too few, are refused in one line."""
    weights, shape = weights_of(localizer), architecture("compact", (32, 32, 3))
    match change:
        case "missing":
            del weights["net.0.0.weight"]
        case "unknown":
            weights["extra"] = np.zeros(3, np.float32)
        case "shape":
            weights["net.1.conv1.weight"] = np.zeros((3, 3), np.float32)
        case "other net":
            shape = architecture("mobilenet_v3_small", (32, 32, 3))
    with pytest.raises(DataError) as caught:
        from_weights(shape, weights)
    assert str(caught.value).startswith(f"the weights do not fit the architecture {shape['name']!r} (")
    assert "\n" not in str(caught.value)


def test_boxes_between_pixels_and_shares():
    """The middle of an image of 200 x 100 is [50, 25, 150, 75] in pixels, and back."""
    sizes = np.array([[200.0, 100.0]])
    shares = fraction_boxes(np.array([[50.0, 25, 150, 75]]), sizes)
    assert shares.tolist() == [[0.25, 0.25, 0.75, 0.75]]
    assert pixel_boxes(shares, sizes).tolist() == [[50, 25, 150, 75]]
