"""Dead layers of a pruned net."""

import numpy as np
import pytest
import torch

from htltools.core.nets.factory import architecture, build
from htltools.core.pruning.dead_layers import dead_layers
from htltools.core.pruning.unstructured import baked, prune_weights

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (12, 64, 64, 3), np.uint8))
NETS = [
    ("compact", "box", {}),
    ("mobilenet_v3_small", "box", {}),
    ("compact_unet", "mask", {}),
    ("compact", "class_map", {"classes": ["a", "b"]}),
    ("compact_fcos", "detect", {"classes": ["a"], "most": 5}),
]


@pytest.mark.parametrize("name, task, more", NETS)
def test_a_net_that_is_whole_has_none(name, task, more):
    """Fresh weights of every task leave no layer dead, and the model is as it was: mode, weights and hooks."""
    model = build(architecture(name, (64, 64, 3), task, **more)).train()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    assert dead_layers(model, IMAGES.split(5)) == []
    assert model.training and not any(module._forward_pre_hooks for module in model.modules())
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())


def test_a_hidden_layer_that_never_fires():
    """A ReLU that is off for every image leaves the head dead: it receives zeros."""
    torch.manual_seed(0)
    model = build(architecture("compact", (64, 64, 3)))
    model.net[6][0].bias.data.fill_(-100)
    assert dead_layers(model, IMAGES.split(5)) == ["net.6.2"]


def test_layers_that_are_cut_whole():
    """A layer without a weight is dead, and those that see nothing but its constant output."""
    torch.manual_seed(0)
    model = build(architecture("compact", (64, 64, 3)))
    model.net[5][0].weight.data.zero_()
    assert dead_layers(model, IMAGES.split(5)) == ["net.5.0", "net.6.0", "net.6.2"]
    assert len(dead_layers(baked(prune_weights(model, "l1", 0.9999)), IMAGES.split(5))) > 5
