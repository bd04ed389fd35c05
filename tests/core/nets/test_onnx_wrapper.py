"""Localizers in the form that goes into ONNX files."""

import numpy as np
import pytest
import torch

from htltools.core.nets.factory import architecture, build
from htltools.core.nets.onnx_wrapper import OnnxWrapper

SIZE = 32, 48, 3


@pytest.fixture(scope="module")
def localizer():
    """A compact localizer with random weights."""
    torch.manual_seed(0)
    return build(architecture("compact", SIZE)).eval()


@pytest.fixture(scope="module")
def images():
    """Five images: noise, one all black, one all white."""
    batch = np.random.default_rng(0).integers(0, 256, (5, *SIZE), np.uint8)
    batch[3], batch[4] = 0, 255
    return batch


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.float16, 5e-3)])
def test_predicts_like_the_original(localizer, images, dtype, most):
    """Predictions differ by rounding alone; the original stays as it is."""
    before = {name: tensor.clone() for name, tensor in localizer.state_dict().items()}
    with torch.inference_mode():
        onnx_outputs, original = (model(torch.from_numpy(images)) for model in (OnnxWrapper(localizer, dtype), localizer))
    assert onnx_outputs.dtype == torch.float32
    assert (onnx_outputs - original).abs().max() <= most
    assert all(torch.equal(tensor, before[name]) for name, tensor in localizer.state_dict().items())


def test_half_keeps_colours_whole():
    """The normalisation of a float16 net is in float32: its numbers go up to 255, and their squares further than float16 does."""
    torch.manual_seed(0)
    onnx_outputs = OnnxWrapper(build(architecture("compact", SIZE)), torch.float16)
    assert {tensor.dtype for tensor in onnx_outputs.localizer.net.parameters()} == {torch.float16}
    assert {tensor.dtype for tensor in onnx_outputs.buffers(recurse=False)} == {torch.float32}
