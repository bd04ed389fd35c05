"""`htl export`, and the example that uses its file."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htltools.formats.jsonlines import joined_lines
from htltools.formats.onnx_file import OnnxLocalizer
from htltools.formats.provenance import file_digest
from htltools.formats.schema import ONNX

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
    """One line tells the file, its size, and the largest difference from torch."""
    line = exported[1].stderr.decode()
    assert line.count("\n") == 1
    assert f"{exported[0]}, {exported[0].stat().st_size / 1e6:.2f} MB: largest difference from torch" in line
    assert line.endswith("of the picture's sides, on noise\n")


def test_says_what_it_is(exported, fixed):
    """The file names its input, its output, its checkpoint and the whole history in its metadata."""
    about = OnnxLocalizer(exported[0], "cpu").about
    assert set(about) == set(ONNX)
    assert about["htl.output"] == ONNX["htl.output"]
    assert about["htl.model"] == file_digest(fixed.half)
    history = json.loads(about["htl.history"])
    assert [record["run"] for record in history][0] == "made by hand"
    assert history[-1]["command"].split()[1] == "export"


def test_agrees_on_real_rows_from_a_pipe(htl, fixed, tmp_path):
    """Without --model the model and the pictures to check on come from the stream."""
    note = {"htl": "model", "role": "dense", "path": str(fixed.half)}
    code, out, err = htl("export", "--onnx", "-o", tmp_path / "m.onnx", stdin=joined_lines([note, *fixed.rows]))
    assert (code, out) == (0, b"")
    assert err.endswith("on noise and 8 pictures\n")
    assert OnnxLocalizer(tmp_path / "m.onnx", "cpu").size == [32, 32, 3]


def test_no_file_is_left_where_it_disagrees(htl, fixed, tmp_path, monkeypatch):
    """An ONNX model that answers otherwise than torch is not written; what stood there before stays."""
    right = OnnxLocalizer.answer
    monkeypatch.setattr(OnnxLocalizer, "answer", lambda self, batch: right(self, batch) + np.float32(2e-4))
    (tmp_path / "m.onnx").write_bytes(b"before")
    code, _, err = htl("export", "--onnx", "--model", fixed.half, "-o", tmp_path / "m.onnx", "--force")
    assert code == 1
    assert "the ONNX model differs from torch by 0.0002 of the picture's sides, more than 0.0001" in err
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("m.onnx", b"before")]


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["-o", "new.onnx"], 2, "export needs a format; say --onnx"),
        (["--onnx"], 2, "export needs a file to write; name it with -o"),
        (["--onnx", "-o", "absent/new.onnx"], 73, "the folder absent is not there"),
        (["--onnx", "-o", "there.onnx"], 73, "there.onnx exists; replace it with --force"),
        (["--onnx", "-o", "new.onnx", "--model", "there.onnx"], 65, "there.onnx is no htl checkpoint"),
        (["--onnx", "-o", "new.onnx", "--model", "absent.h5"], 66, "absent.h5 is not there"),
        (["--onnx", "-o", "new.onnx"], 65, "no rows in stdin"),
    ],
)
def test_what_cannot_be_exported_is_told(htl, tmp_path, monkeypatch, flags, code, message):
    """Wrong flags, outputs that exist and models that are none end in one line and a code of their own."""
    monkeypatch.chdir(tmp_path)
    Path("there.onnx").write_bytes(b"before")
    found, _, err = htl("export", *flags)
    assert found == code
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["there.onnx"]


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
