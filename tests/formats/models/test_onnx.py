"""Localizers as ONNX files."""

import json
import logging

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from htltools.core.nets.compact import compact
from htltools.core.nets.factory import build
from htltools.core.nets.localizer import NORMALISATION, Localizer
from htltools.core.nets.state_arrays import from_weights, weights_of
from htltools.errors import DataError, DeviceMissing, HtlError, MissingInput, UsageError
from htltools.formats.models import onnx as onnx_file
from htltools.formats.models.onnx import INPUT, OUTPUT, OnnxModel, is_onnx, write_metadata, write_onnx

SIZE = [32, 48, 3]
ABOUT = {"htl.task": "box", "htl.history": json.dumps([{"run": "x"}])}
BOX = {OUTPUT: (4,)}


def fresh(name="compact"):
    """A localizer with random weights."""
    torch.manual_seed(0)
    return build({"name": name, "size": SIZE, "task": "box"}).eval()


def boxes_of(model, batch):
    """The boxes that an ONNX model predicts."""
    return model.predict(batch, BOX)[OUTPUT]


def difference(model, path):
    """The largest difference of any edge on batches of 1, 2 and 5 images of noise."""
    ours, noise = OnnxModel(path, "cpu"), np.random.default_rng(0)
    differences = []
    for count in (1, 2, 5):
        batch = noise.integers(0, 256, (count, *SIZE), np.uint8)
        with torch.inference_mode():
            differences.append(np.abs(boxes_of(ours, batch) - model(torch.from_numpy(batch)).numpy()).max())
    return max(differences)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A compact localizer and its ONNX file."""
    path, model = tmp_path_factory.mktemp("onnx") / "m.onnx", fresh()
    write_onnx(path, model, SIZE, ABOUT)
    return model, path


def test_predicts_like_torch_on_any_batch(written):
    """The file takes uint8 images in batches of any size and predicts like the net that it was made from."""
    assert difference(*written) <= 1e-5
    model = OnnxModel(written[1], "cpu")
    boxes = boxes_of(model, np.zeros((3, *SIZE), np.uint8))
    assert (model.size, boxes.shape, boxes.dtype) == (SIZE, (3, 4), np.float32)
    assert (model.task, model.classes, model.threshold, model.output_names) == ("box", [], 0, [OUTPUT])
    assert model.session.get_inputs()[0].name == INPUT


def test_carries_its_metadata_in_one_file(written):
    """The metadata are read back from the file, which is the only one written."""
    about = OnnxModel(written[1], "cpu").about
    assert about == ABOUT | {"htl.sha256": about["htl.sha256"]}
    assert [path.name for path in written[1].parent.iterdir()] == ["m.onnx"]


def test_names_no_path_of_the_machine(written):
    """The exporter's notes on source files, which name folders of the machine, are removed."""
    graph = onnx.load(written[1])
    assert not any(each.metadata_props or each.doc_string for each in (graph.graph, *graph.graph.node))
    assert b"localizer.py" not in written[1].read_bytes()


def test_narrowed_layers_are_really_smaller(written, tmp_path):
    """A channel-pruned net is exported with the channels that it has left."""
    torch.manual_seed(1)
    thin = Localizer(compact(*SIZE, widths=(8, 16, 24, 32)), **NORMALISATION)
    model = from_weights({"name": "compact", "size": SIZE, "task": "box"}, weights_of(thin))
    write_onnx(tmp_path / "thin.onnx", model, SIZE, ABOUT)
    assert difference(model, tmp_path / "thin.onnx") <= 1e-5
    assert (tmp_path / "thin.onnx").stat().st_size < written[1].stat().st_size / 3


def test_torchvision_backbone(tmp_path):
    """A torchvision classification net is exported as well as the compact one."""
    model = fresh("resnet18")
    write_onnx(tmp_path / "r.onnx", model, SIZE, ABOUT)
    assert difference(model, tmp_path / "r.onnx") <= 1e-5


def test_falls_back_to_tracing(tmp_path, monkeypatch, capfd):
    """A net that torch.export cannot follow is traced, nothing is printed, and logging is as before."""
    monkeypatch.setattr(onnx_file, "by_dynamo", lambda *_: 1 / 0)
    model, before = fresh(), logging.root.manager.disable
    write_onnx(tmp_path / "t.onnx", model, SIZE, ABOUT)
    assert difference(model, tmp_path / "t.onnx") <= 1e-5
    assert capfd.readouterr() == ("", "")
    assert logging.root.manager.disable == before


def test_names_both_reasons(tmp_path, monkeypatch):
    """Where neither exporter succeeds, one line says why each failed."""

    def fail(*_):
        raise ValueError("no such operator\nand a page more")

    monkeypatch.setattr(onnx_file, "by_dynamo", fail)
    monkeypatch.setattr(onnx_file, "by_tracing", lambda *_: 1 / 0)
    with pytest.raises(HtlError, match=r"\(ValueError: no such operator; ZeroDivisionError: division by zero\); try another --arch"):
        write_onnx(tmp_path / "n.onnx", fresh(), SIZE, {})


def test_knows_onnx_by_its_content(written, tmp_path):
    """A file is ONNX by its content, whatever its name."""
    renamed = tmp_path / "model.h5"
    renamed.write_bytes(written[1].read_bytes())
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "empty.onnx").write_bytes(b"")
    assert is_onnx(renamed)
    assert not any(is_onnx(tmp_path / name) for name in ("text.onnx", "empty.onnx", "absent.onnx"))


def test_refuses_what_is_no_localizer(written, tmp_path):
    """A missing file, a damaged one and a model of another tool have different errors."""
    with pytest.raises(MissingInput, match="absent.onnx is not there"):
        OnnxModel(tmp_path / "absent.onnx", "cpu")
    (tmp_path / "cut.onnx").write_bytes(written[1].read_bytes()[:5000])
    with pytest.raises(DataError, match="cut.onnx is no ONNX model, or damaged"):
        OnnxModel(tmp_path / "cut.onnx", "cpu")
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", value[:1], value[1:])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), tmp_path / "other.onnx")
    with pytest.raises(DataError, match="other.onnx is no localizer of htl"):
        OnnxModel(tmp_path / "other.onnx", "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is here")
def test_cuda_is_not_quietly_the_cpu(written, capfd):
    """Where CUDA was asked for and is not there, that is an error; `auto` takes the CPU without noise on stderr."""
    with pytest.raises(DeviceMissing, match="onnxruntime cannot use CUDA here"):
        OnnxModel(written[1], "cuda")
    assert OnnxModel(written[1], "auto").session.get_providers() == ["CPUExecutionProvider"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
def test_cuda_is_the_device_that_was_named(written):
    """On a GPU the predictions are those of the CPU; a GPU that is not there is no other one."""
    batch = np.random.default_rng(0).integers(0, 256, (5, *SIZE), np.uint8)
    last = torch.cuda.device_count() - 1
    net = OnnxModel(written[1], f"cuda:{last}")
    assert net.provider == "CUDAExecutionProvider"
    assert net.session.get_provider_options()[net.provider]["device_id"] == str(last)
    np.testing.assert_allclose(boxes_of(net, batch), boxes_of(OnnxModel(written[1], "cpu"), batch), atol=1e-4)
    with pytest.raises(DeviceMissing, match=f"onnxruntime cannot use CUDA:{last + 1} here"):
        OnnxModel(written[1], f"cuda:{last + 1}")


@pytest.mark.parametrize(("variable", "threads"), [("3", 3), ("2,4", 2), ("", 0), ("many", 0), (None, 0)])
def test_threads_are_those_of_torch(written, monkeypatch, variable, threads):
    """OMP_NUM_THREADS holds for onnxruntime as well, so that processes side by side do not crowd each other out."""
    monkeypatch.delenv("OMP_NUM_THREADS") if variable is None else monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert OnnxModel(written[1], "cpu").session.get_session_options().intra_op_num_threads == threads
    assert OnnxModel(written[1], "cpu", 5).session.get_session_options().intra_op_num_threads == 5


def test_a_damaged_file_is_refused(written, tmp_path):
    """A flipped bit in the weights is refused, which would pass for a worse net; a file without a checksum is read."""
    data = bytearray(written[1].read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(DataError, match="m.onnx is damaged: its checksum does not hold"):
        OnnxModel(tmp_path / "m.onnx", "cpu")
    model = onnx.load(written[1])
    helper.set_model_props(model, ABOUT)
    onnx.save(model, tmp_path / "m.onnx")
    assert OnnxModel(tmp_path / "m.onnx", "cpu").about == ABOUT


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu:1", ""])
def test_unknown_device(written, device):
    """A device that does not exist is a usage error."""
    with pytest.raises(UsageError, match="--device takes auto, cpu, cuda or cuda:N"):
        OnnxModel(written[1], device)


def strange(path, *more, nodes=(), width=4, about=ABOUT):
    """An ONNX file that predicts the same box for all images, with more tensors and nodes beside."""
    made = [
        helper.make_node("Cast", [INPUT], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x", "axes"], ["m"], keepdims=0),
    ]
    made += [helper.make_node("MatMul", ["m", "w"], [OUTPUT]), *nodes]
    numbers = [numpy_helper.from_array(np.array([1, 2]), "axes"), numpy_helper.from_array(np.ones((3, width), np.float32), "w"), *more]
    ends = [
        [helper.make_tensor_value_info(name, kind, ["N", *size])]
        for name, kind, size in ((INPUT, TensorProto.UINT8, (8, 6, 3)), (OUTPUT, TensorProto.FLOAT, (4,)))
    ]
    graph = helper.make_graph(made, "g", *ends, numbers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, about)
    onnx.save(model, path)


def test_untrusted_files(tmp_path):
    """Data in other files, data that is declared and not there, and loops are refused before onnxruntime sees them."""
    path = tmp_path / "m.onnx"
    strange(path)
    assert boxes_of(OnnxModel(path, "cpu"), np.ones((2, 8, 6, 3), np.uint8)).tolist() == [[3] * 4] * 2
    far = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    far.external_data.add(key="location", value="../../../../../etc/passwd")
    huge = TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=[10**12], raw_data=b"1234")
    inside = helper.make_graph([], "inside", [], [], [far])
    for how, reason in (
        ({"more": [far]}, "its data are in another file"),
        ({"nodes": [helper.make_node("If", ["x"], ["y"], then_branch=inside, else_branch=inside)]}, "its data are in another file"),
        ({"more": [huge]}, "it declares more data than it holds"),
        ({"nodes": [helper.make_node("Loop", ["", ""], ["y"], body=helper.make_graph([], "inside", [], []))]}, "it holds a Loop"),
    ):
        strange(path, *how.get("more", ()), nodes=how.get("nodes", ()))
        with pytest.raises(DataError, match=f"no ONNX model, or damaged \\({reason}\\)"):
            OnnxModel(path, "cpu")


def test_files_that_cannot_predict(tmp_path):
    """A file that fails over an image, or predicts something else than boxes, is refused in one line."""
    path, images = tmp_path / "m.onnx", np.ones((2, 8, 6, 3), np.uint8)
    strange(path)
    with pytest.raises(DataError, match="m.onnx cannot predict"):
        OnnxModel(path, "cpu").predict(np.ones((2, 8, 7, 3), np.uint8), BOX)
    with pytest.raises(DataError, match="m.onnx cannot predict .*masks"):
        OnnxModel(path, "cpu").predict(images, {"masks": (8, 6)})
    with pytest.raises(DataError, match=r"m.onnx predicts boxes of shape \[2, 4\], not \[2, 4, 4\]"):
        OnnxModel(path, "cpu").predict(images, {OUTPUT: (None, 4)})
    strange(path, width=5)
    with pytest.raises(DataError, match=r"m.onnx predicts boxes of shape \[2, 5\], not \[2, 4\]"):
        OnnxModel(path, "cpu").predict(images, BOX)


def test_lengths_are_the_same_in_all_outputs(tmp_path):
    """A side without a length may have any, and every other output must have that many."""
    path, images = tmp_path / "m.onnx", np.ones((2, 8, 6, 3), np.uint8)
    strange(path)
    assert OnnxModel(path, "cpu").predict(images, {OUTPUT: (None,)})[OUTPUT].shape == (2, 4)
    inner = [helper.make_node("Concat", [OUTPUT, OUTPUT], ["scores"], axis=1)]
    model = onnx.load(path)
    model.graph.node.extend(inner)
    model.graph.output.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 8]))
    onnx.save(model, path)
    with pytest.raises(DataError, match=r"m.onnx predicts scores of shape \[2, 8\], not \[2, 4\]"):
        OnnxModel(path, "cpu").predict(images, {OUTPUT: (None,), "scores": (None,)})


def test_a_file_names_its_task(tmp_path):
    """The metadata name the task: a file without it is no localizer of htl; classes that it names come with a threshold."""
    path = tmp_path / "m.onnx"
    strange(path, about={})
    with pytest.raises(DataError, match=r"m.onnx is no localizer of htl: .* name its task \(htl.task\)"):
        OnnxModel(path, "cpu")
    for objects in ("{", '{"classes": ["nail"]}'):
        strange(path, about={"htl.task": "detect", "htl.objects": objects})
        with pytest.raises(DataError, match=r"m.onnx does not say which classes it detects \(htl.objects\); export it with htl"):
            OnnxModel(path, "cpu")
    strange(path, about={"htl.task": "detect", "htl.objects": '{"classes": ["nail"], "threshold": 0.4}'})
    model = OnnxModel(path, "cpu")
    assert (model.task, model.classes, model.threshold) == ("detect", ["nail"], 0.4)


def test_older_runtimes_read_it(written, tmp_path):
    """A file is of an IR version that onnxruntime 1.17 reads where its opset allows that, and imports no domain that no node uses."""
    model = onnx.load(written[1])
    assert model.ir_version <= 9 and [each.domain for each in model.opset_import] == [""]
    path = tmp_path / "m.onnx"
    for opset, after in ((20, 9), (21, 10)):
        strange(path)
        model = onnx.load(path)
        model.ir_version = 10
        model.opset_import[0].version = opset
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        onnx.save(model, path)
        write_metadata(path, ABOUT)
        model = onnx.load(path)
        assert (model.ir_version, [(each.domain, each.version) for each in model.opset_import]) == (after, [("", opset)])
        assert boxes_of(OnnxModel(path, "cpu"), np.ones((2, 8, 6, 3), np.uint8)).tolist() == [[3] * 4] * 2
