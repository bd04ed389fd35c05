"""`htl export`, and the example that uses its file."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from PIL import Image

from htltools.formats.models.onnx import OnnxModel
from htltools.formats.rows.jsonlines import joined_lines
from htltools.formats.rows.provenance import file_digest
from htltools.formats.rows.vocabulary import ONNX

CLIENT = Path(__file__).parents[2] / "examples" / "onnx_client.py"


@pytest.fixture(scope="module")
def exported(fixed):
    """`half` as an ONNX file, by a process whose stdin holds something for the next one; and what that process said."""
    path = fixed.folder / "half.onnx"
    script = f'"{sys.executable}" -m htltools export --onnx --model "{fixed.half}" -o "{path}"; cat'
    return path, subprocess.run(["sh", "-c", script], input=b"for the next one", capture_output=True, check=True)


def test_leaves_the_stdin_of_a_script_alone(exported):
    """With --model and no ROWS nothing is read from stdin, and nothing is written to stdout."""
    assert exported[1].stdout == b"for the next one"


def test_says_how_well_it_agrees(exported):
    """One line names the file, its size, and the largest difference from torch."""
    line = exported[1].stderr.decode()
    assert line.count("\n") == 1
    assert f"{exported[0]}, {exported[0].stat().st_size / 1e6:.2f} MB: largest difference from torch" in line
    assert line.endswith("of the image's sides, on noise\n")


def test_says_what_it_is(exported, fixed):
    """The file names its input, its output, its checkpoint and the whole history in its metadata."""
    about = OnnxModel(exported[0], "cpu").about
    assert set(about) == set(ONNX) - {"htl.masks", "htl.objects", "htl.referral", "htl.frame", "htl.doubt", "htl.fold", "htl.copy_of"}
    assert about["htl.output"] == ONNX["htl.output"]
    assert about["htl.model"] == file_digest(fixed.half)
    history = json.loads(about["htl.history"])
    assert [record["run"] for record in history][0] == "made by hand"
    assert history[-1]["command"].split()[1] == "export"


def test_agrees_on_real_rows_from_a_pipe(htl, fixed, tmp_path):
    """Without --model the model and the images to check on come from the stream."""
    note = {"htl": "model", "role": "dense", "path": str(fixed.half)}
    code, out, err = htl("export", "-o", tmp_path / "m.onnx", stdin=joined_lines([note, *fixed.rows]))
    assert (code, out) == (0, b"")
    assert err.endswith("on noise and 8 images\n")
    assert OnnxModel(tmp_path / "m.onnx", "cpu").size == [32, 32, 3]


@pytest.fixture(scope="module")
def int8(htl, phantom, dense):
    """`dense` in 8 bits, calibrated and measured on the phantom rows, and what was said."""
    path = phantom.folder / "int8.onnx"
    code, out, err = htl("export", "--model", dense, "-o", path, "--quantize", "int8", "--max-loss", 0.1, phantom.rows)
    assert (code, out) == (0, b""), err
    return path, err


def test_int8_tells_its_loss(int8, phantom):
    """The mean IoU of the file and of float32 on the validation rows are said in one line, and stand in the file."""
    held_out = [row for row in phantom.samples if row["split"] == "val" and row["boxes"]]
    match = re.search(r"MB: mean IoU on (\d+) validation rows (\d\.\d{4}), float32 (\d\.\d{4}): ([+-]\d\.\d{4})\n$", int8[1])
    count, ours, theirs, change = (float(number) for number in match.groups())
    assert int8[1].count("\n") == 1
    assert count == len(held_out)
    assert change == pytest.approx(ours - theirs, abs=1.1e-4)
    about = OnnxModel(int8[0], "cpu").about
    assert set(about) == set(ONNX) - {"htl.masks", "htl.objects", "htl.referral", "htl.frame", "htl.doubt", "htl.fold", "htl.copy_of"}
    quantize = json.loads(about["htl.quantize"])
    assert (quantize["kind"], quantize["n"], round(quantize["iou_mean"], 4)) == ("int8", count, ours)
    assert quantize["calibration"] == "MinMax over up to 256 rows of the split train"


def test_int8_measures_as_it_evaluates(htl, int8, phantom):
    """`evaluate` finds the IoU that the file speaks of."""
    _, metrics, _ = htl("evaluate", phantom.rows, "-q", "--model", int8[0], "--split", "val")
    (value,) = [line["value"] for line in map(json.loads, metrics.splitlines()) if line["metric"] == "iou_mean"]
    assert value == pytest.approx(json.loads(OnnxModel(int8[0], "cpu").about["htl.quantize"])["iou_mean"], abs=1e-4)


def test_int8_net_is_int8(int8):
    """Thirteen convolutions and the first linear layer have 8-bit weights."""
    weights = [tensor for tensor in onnx.load(int8[0]).graph.initializer if tensor.data_type == TensorProto.INT8 and len(tensor.dims) > 1]
    assert len(weights) == 14


def test_float16_without_rows(htl, dense, tmp_path):
    """The weights are halves, but for the normalisation; without rows the difference on noise is said, and what is not known."""
    code, out, err = htl("export", "--model", dense, "-o", tmp_path / "half.onnx", "--quantize", "float16")
    assert (code, out) == (0, b"")
    assert "largest difference from torch" in err
    assert err.endswith("on noise; its loss of IoU is not known, without annotated rows of the split val\n")
    graph = onnx.load(tmp_path / "half.onnx").graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    kinds = {(node.op_type, weights[node.input[1]].data_type) for node in graph.node if node.op_type in ("Conv", "Gemm")}
    assert kinds == {("Conv", TensorProto.FLOAT16), ("Gemm", TensorProto.FLOAT16)}
    (normalisation,) = [node for node in graph.node if node.op_type == "BatchNormalization"]
    assert {weights[name].data_type for name in normalisation.input[1:]} == {TensorProto.FLOAT}
    net = OnnxModel(tmp_path / "half.onnx", "cpu")
    assert net.predict(np.zeros((3, 32, 32, 3), np.uint8), {"boxes": (4,)})["boxes"].dtype == np.float32
    assert json.loads(net.about["htl.quantize"]) == {"kind": "float16"}


def test_float16_with_rows(htl, phantom, dense, tmp_path):
    """With annotated validation rows the loss of IoU is measured."""
    code, _, err = htl("export", "--model", dense, "-o", tmp_path / "half.onnx", "--quantize", "float16", phantom.rows)
    assert code == 0
    assert re.search(r"mean IoU on \d+ validation rows 0\.\d{4}, float32 0\.\d{4}: [+-]0\.00\d\d\n$", err)


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_no_file_is_left_where_it_loses_too_much(htl, phantom, dense, tmp_path, monkeypatch, kind):
    """A quantized model whose IoU falls by more than --max-loss is not written."""
    monkeypatch.setattr(OnnxModel, "predict", lambda self, batch, shapes: {"boxes": np.zeros((len(batch), 4), np.float32)})
    flags = ["--quantize", kind, "--max-loss", 0.05]
    code, _, err = htl("export", "--model", dense, "-o", tmp_path / "m.onnx", *flags, phantom.rows)
    assert code == 1
    assert re.search(
        rf"{kind} loses too much: mean IoU on \d+ validation rows 0.0000, float32 .* less; --max-loss 0.05 allows no more\n$", err
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_bench(htl, fixed, tmp_path, monkeypatch):
    """After the export torch and onnxruntime are timed side by side, one and sixteen images at a time."""
    monkeypatch.setattr("htltools.commands.export.latency.TURNS", (2, 3))
    code, out, _ = htl("export", "--model", fixed.half, "-o", tmp_path / "m.onnx", "--bench", "--device", "cpu")
    assert code == 0
    headings, *lines = [line.split("\t") for line in out.decode().splitlines()]
    assert headings == ["batch", "engine", "median ms", "p90 ms", "images/s", "ratio"]
    engines = [f"torch {torch.__version__} eager cpu", "onnxruntime CPUExecutionProvider"]
    assert [line[:2] for line in lines] == [[batch, engine] for batch in ("1", "16") for engine in engines]
    for batch, _, median, late, speed, _ in lines:
        assert 0 < float(median) <= float(late)
        assert float(speed) == pytest.approx(1000 * int(batch) / float(median), rel=0.1)
    assert [line[5] for line in lines[::2]] == ["1.00", "1.00"]
    assert (tmp_path / "m.onnx").is_file()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
def test_bench_on_cuda(htl, fixed, tmp_path):
    """Where there is a GPU both run on it."""
    code, out, err = htl("export", "--model", fixed.half, "-o", tmp_path / "m.onnx", "--bench", "--device", "cuda")
    assert code == 0, err
    assert {line.split("\t")[1].split()[-1] for line in out.decode().splitlines()[1:]} == {"cuda", "CUDAExecutionProvider"}


def test_no_file_is_left_where_it_disagrees(htl, fixed, tmp_path, monkeypatch):
    """An ONNX model that predicts otherwise than torch is not written; what stood there before stays."""
    right = OnnxModel.predict
    monkeypatch.setattr(OnnxModel, "predict", lambda *args: {"boxes": right(*args)["boxes"] + np.float32(2e-4)})
    (tmp_path / "m.onnx").write_bytes(b"before")
    code, _, err = htl("export", "--model", fixed.half, "-o", tmp_path / "m.onnx", "--force")
    assert code == 1
    assert "the ONNX model differs from torch by 0.0002 of the image's sides, more than 0.0001" in err
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("m.onnx", b"before")]


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        ([], 2, "export needs a file to write; name it with -o"),
        (["-o", "absent/new.onnx"], 73, "the folder absent is not there"),
        (["-o", "there.onnx"], 73, "there.onnx exists; replace it with --force"),
        (["-o", "new.onnx", "--model", "there.onnx"], 65, "there.onnx is no htl checkpoint"),
        (["-o", "new.onnx", "--model", "absent.h5"], 66, "absent.h5 is not there"),
        (["-o", "new.onnx"], 65, "no rows in stdin"),
        (["-o", "new.onnx", "--model", "there.onnx", "--quantize", "int8"], 2, "--quantize int8 needs rows to calibrate and"),
        (["-o", "new.onnx", "--model", "there.onnx", "--bench", "--device", "gpu"], 2, "a device is auto, cpu, cuda or"),
    ],
)
def test_what_cannot_be_exported_is_refused(htl, tmp_path, monkeypatch, flags, code, message):
    """Wrong flags, outputs that exist and models that are none end in one line and a code of their own."""
    monkeypatch.chdir(tmp_path)
    Path("there.onnx").write_bytes(b"before")
    exit_code, _, err = htl("export", *flags)
    assert exit_code == code
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["there.onnx"]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("train", "no row is of the split train; --quantize int8 is calibrated on those"),
        ("val", "no row of the split val is annotated; the loss of --quantize int8 is measured on those"),
    ],
)
def test_int8_needs_both_splits(htl, phantom, dense, tmp_path, split, message):
    """Rows without those to calibrate on, or without those to measure on, are refused."""
    stdin = joined_lines([row for row in phantom.samples if row["split"] != split])
    code, _, err = htl("export", "--model", dense, "-o", tmp_path / "m.onnx", "--quantize", "int8", "-", stdin=stdin)
    assert code == 65
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_client_draws_the_box(exported, tmp_path):
    """The example needs only numpy, Pillow and onnxruntime to turn a JPEG into a PNG with the box drawn."""
    Image.new("RGB", (400, 200), "black").save(tmp_path / "in.jpg")
    others = "torch=None, h5py=None, onnx=None, htltools=None"  # None: the import fails
    blocked = f"import sys; sys.modules.update({others}); sys.argv = sys.argv[1:]; exec(open(sys.argv[0]).read())"
    command = [sys.executable, "-c", blocked, CLIENT, exported[0], tmp_path / "in.jpg", tmp_path / "out.png"]
    done = subprocess.run(command, capture_output=True, check=True, text=True, cwd=tmp_path)
    assert done.stdout == "100.0 50.0 300.0 150.0\n"
    drawn = np.array(Image.open(tmp_path / "out.png").convert("RGB"))
    ys, xs = np.nonzero(drawn[..., 1] > 200)
    assert (drawn.shape, xs.min(), ys.min(), xs.max(), ys.max()) == ((200, 400, 3), 100, 50, 299, 149)
