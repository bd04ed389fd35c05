"""Structured pruning: whole channels."""

import numpy as np
import pytest
import torch

from htltools.core.nets.factory import architecture, build
from htltools.core.nets.state_arrays import from_weights, weights_of
from htltools.core.pruning.structured import prune_channels, remove_channels
from htltools.core.pruning.unstructured import prunable_count, sparsity_of

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8))


def parameter_count(model):
    """How many numbers the model learns."""
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("sparsity", [0.3, 0.7])
def test_the_net_becomes_smaller_by_the_share_asked_for(localizer, sparsity):
    """Channel pruning really removes weights, near the share asked for, and leaves the dense model whole."""
    before = weights_of(localizer)
    dense_count = parameter_count(localizer)
    small = prune_channels(localizer, sparsity, [32, 32, 3])
    assert parameter_count(small) == pytest.approx((1 - sparsity) * dense_count, rel=0.1)
    assert sparsity_of(small, prunable_count(localizer)) == pytest.approx(sparsity, abs=0.05)
    assert small.eval()(IMAGES).shape == (2, 4)
    after = weights_of(localizer)
    assert all((before[name] == after[name]).all() for name in before)


@pytest.mark.parametrize("sparsity", [0.5, 0.7])
def test_an_encoder_decoder_becomes_smaller(sparsity):
    """Layers that are joined with maps of the way down lose their channels alike; the mask keeps its frame, and the net loads again."""
    shape = architecture("compact_unet", (64, 64, 3), "mask")
    dense = build(shape)
    small = prune_channels(dense, sparsity, [64, 64, 3]).eval()
    assert sparsity_of(small, prunable_count(dense)) == pytest.approx(sparsity, abs=0.02)
    assert small.net.head.out_channels == dense.net.head.out_channels
    again = from_weights(shape, weights_of(small))
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert small.masks(x).shape == (2, 64, 64) and torch.equal(small.masks(x), again.eval().masks(x))


def test_nothing_cut_changes_nothing(localizer):
    """At sparsity 0 every weight stays."""
    same = weights_of(prune_channels(localizer, 0.0, [32, 32, 3]))
    assert all((same[name] == array).all() for name, array in weights_of(localizer).items())


@pytest.mark.parametrize("name", ["compact", "mobilenet_v3_small", "resnet18"])
def test_a_narrowed_net_is_rebuilt_from_its_weights(name):
    """A narrowed net predicts the same bits after its weights were stored and loaded, depthwise layers included."""
    shape = architecture(name, (32, 32, 3))
    torch.manual_seed(0)
    small = remove_channels(build(shape), 0.5, [32, 32, 3]).eval()
    again = from_weights(shape, weights_of(small))
    assert parameter_count(again) == parameter_count(small)
    with torch.no_grad():
        assert torch.equal(small(IMAGES), again(IMAGES))
