"""The last layer."""

import pytest
import torch
from torch import nn

from htltools.core.nets.box_head import BoxHead
from htltools.core.nets.factory import architecture, build


def test_a_linear_layer():
    """Without autocast it is torch's own linear layer."""
    head, x = BoxHead(8), torch.randn(3, 8)
    assert torch.equal(head(x), nn.functional.linear(x, head.weight, head.bias))


def test_float32_under_autocast():
    """Under autocast its output is float32, from features of whatever type, where torch's own layer would round to 8 bits."""
    head, x = BoxHead(8), torch.randn(3, 8)
    with torch.autocast("cpu", torch.bfloat16):
        output, rounded = head(x.bfloat16()), nn.functional.linear(x, head.weight, head.bias)
    assert (output.dtype, rounded.dtype) == (torch.float32, torch.bfloat16)
    assert torch.equal(output, head(x.bfloat16().float()))


@pytest.mark.parametrize("name", ["compact", "resnet18", "mobilenet_v3_small", "convnext_tiny"])
def test_every_localizer_ends_in_one(name):
    """The last linear layer of the compact net and of torchvision's is such a layer."""
    net = build(architecture(name, (64, 64, 3)))
    assert isinstance([module for module in net.modules() if isinstance(module, nn.Linear)][-1], BoxHead)
