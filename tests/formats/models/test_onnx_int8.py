"""Localizers as ONNX files in 8 bits."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from htltools.core.nets.factory import build
from htltools.core.nets.onnx_wrapper import OnnxWrapper
from htltools.errors import HtlError
from htltools.formats.models import onnx_int8
from htltools.formats.models.onnx import OUTPUT, OnnxModel, write_metadata, write_onnx
from htltools.formats.models.onnx_int8 import write_int8

SIZE = [32, 48, 3]


def noise(count, seed=0):
    """Images of noise, uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE), np.uint8)


@pytest.fixture(scope="module")
def precise(tmp_path_factory):
    """A compact localizer with random weights, as an ONNX file in float32."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("quantized") / "float32.onnx"
    write_onnx(path, OnnxWrapper(build({"name": "compact", "size": SIZE, "task": "box"}).eval()), SIZE, {"htl.task": "box"})
    return path


@pytest.fixture(scope="module")
def small(precise):
    """The same in 8 bits."""
    path = precise.with_name("int8.onnx")
    write_int8(path, precise, [noise(8), noise(8, 1)])
    return path


def weights_of(path):
    """The initializers of an ONNX file by name, as arrays."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def quantized_layers(path):
    """Of each layer with 8-bit weights: its kind, the weights and their scales."""
    weights, graph = weights_of(path), onnx.load(path).graph
    dequantized = {node.output[0]: node.input for node in graph.node if node.op_type == "DequantizeLinear"}
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm") and node.input[1] in dequantized]
    return [(node.op_type, *(weights[name] for name in dequantized[node.input[1]][:2])) for node in layers]


def test_weights_are_integers_by_channel(small):
    """Every layer but the last has int8 weights, of 7 bits, with a scale for each channel."""
    layers = quantized_layers(small)
    assert [kind for kind, *_ in layers] == ["Conv"] * 13 + ["Gemm"]
    for _, weights, scales in layers:
        assert weights.dtype == np.int8
        assert np.abs(weights).max() <= 64
        assert scales.size in weights.shape[:2]
    last = [node for node in onnx.load(small).graph.node if node.op_type == "Gemm"][-1]
    assert weights_of(small)[last.input[1]].dtype == np.float32


def test_activations_are_bytes(small):
    """Activations are uint8; the images go in as they always did, and boxes come out as float32."""
    graph = onnx.load(small).graph
    zeros = {node.input[2] for node in graph.node if node.op_type == "QuantizeLinear"}
    assert {weights_of(small)[name].dtype for name in zeros} == {np.dtype(np.uint8)}
    assert graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    assert graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT


def test_predicts_nearly_like_float32(small, precise):
    """In batches of any size the boxes are those of float32 to a hundredth or so of the sides."""
    models = [OnnxModel(path, "cpu") for path in (small, precise)]
    for count in (1, 2, 5):
        ours, theirs = (model.predict(noise(count, 7), {OUTPUT: (4,)})[OUTPUT] for model in models)
        assert (ours.shape, ours.dtype) == ((count, 4), np.float32)
        assert np.abs(ours - theirs).max() < 0.03


def test_is_small_and_the_same_every_time(small, precise, tmp_path):
    """The file is a third as large, and the same call writes the same bytes, which name no folder of this machine."""
    assert small.stat().st_size < precise.stat().st_size / 3
    write_int8(tmp_path / "again.onnx", precise, [noise(8), noise(8, 1)])
    write_metadata(tmp_path / "again.onnx", {"htl.task": "box"})
    written = (tmp_path / "again.onnx").read_bytes()
    write_int8(tmp_path / "again.onnx", precise, [noise(8), noise(8, 1)])
    write_metadata(tmp_path / "again.onnx", {"htl.task": "box"})
    assert (tmp_path / "again.onnx").read_bytes() == written
    assert b"/tmp" not in written and str(tmp_path).encode() not in written
    model = onnx.load(tmp_path / "again.onnx")
    assert model.ir_version <= 9 and [each.domain for each in model.opset_import] == [""]
    about = OnnxModel(tmp_path / "again.onnx", "cpu").about
    assert {name: value for name, value in about.items() if name != "htl.sha256"} == {"htl.task": "box"}


def test_says_why_it_cannot(precise, tmp_path, monkeypatch, capfd):
    """A net that onnxruntime cannot quantize ends in one line with the reason; nothing else is printed."""

    def fail(_):
        raise ValueError("no such operator\nand a page more")

    monkeypatch.setattr(onnx_int8, "kept_in_float", fail)
    with pytest.raises(HtlError, match=r"\(ValueError: no such operator\); use --quantize float16 or none"):
        write_int8(tmp_path / "n.onnx", precise, [noise(2)])
    assert capfd.readouterr() == ("", "")
