"""`htl export --any-size` and `--doubt`: what an ONNX file does beyond the model."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from htltools.formats.images.image import squashed_array
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.models.onnx import OnnxModel
from htltools.formats.rows.jsonlines import split_lines
from htltools.formats.rows.row import Row
from htltools.formats.store.shard import Images
from tests.conftest import made

CLIENT = Path(__file__).parents[2] / "examples" / "onnx_client.py"
BOTH = "--any-size", "--doubt", "mirror"


@pytest.fixture(scope="module")
def masks(phantom, htl, tmp_path_factory):
    """A model of masks; it looks once, as two looks for each mirror image take long to export, and test_look exports those."""
    path = tmp_path_factory.mktemp("inside") / "m.h5"
    assert htl("train", phantom.rows, "-o", path, "--looks", 1, "--epochs", 2, "--batch-size", 16, "-q")[0] == 0
    return path


@pytest.mark.parametrize("kind", ["box", "mask"])
def test_doubt_and_squashing_inside(htl, phantom, dense, masks, kind, tmp_path):
    """The file takes stored images and larger ones alike, predicts the same boxes, and the doubt that `score` computes."""
    model, file = dense if kind == "box" else masks, tmp_path / "m.onnx"
    code, _, err = htl("export", phantom.rows, "--model", model, "-o", file, *BOTH)
    assert code == 0 and "largest difference of doubt" in err and "images of other sizes are squashed inside" in err, err
    opened = OnnxModel(file, "cpu")
    assert (opened.size, opened.any_size, "doubt" in opened.output_names) == ([32, 32, 3], True, True)
    inside, outside = (json.loads(made("evaluate", phantom.rows, "--model", name, "-q").splitlines()[0]) for name in (file, model))
    assert inside == pytest.approx(outside, abs=1e-3), "the file's IoU is not the model's"
    rows = [Row(row) for row in phantom.samples[:20]]
    stored = Images(rows).batch(np.arange(20))
    outputs = opened.predict(stored, {"boxes": (4,), "doubt": ()})
    code, scored, err = htl("score", phantom.rows, "--model", model, "--also", "mirror_disagreement", "-q")
    assert code == 0, err
    doubt = {row["id"]: row["hardness"]["mirror_disagreement"] for row in split_lines(scored) if "id" in row}
    assert outputs["doubt"] == pytest.approx([doubt[row.id] for row in rows], abs=1e-3)
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(stored[0]).resize((96, 128)).save(folder / "a.png")
    (folder / "b.png").write_bytes(b"no image")
    done = subprocess.run([sys.executable, CLIENT, file, folder, tmp_path / "boxed"], capture_output=True, text=True)
    assert done.returncode == 0 and re.fullmatch(r"a\.png( -?[\d.]+){4} doubt [\d.]+\n", done.stdout), done
    assert "b.png: left out" in done.stderr and (tmp_path / "boxed/a.png.png").exists()
    large = np.repeat(np.repeat(stored, 4, 1), 3, 2)[:, :-3]  # 125 x 96
    squashed = np.stack([squashed_array(image, (32, 32)) for image in large])
    inside, outside = (opened.predict(np.ascontiguousarray(images), {"boxes": (4,)})["boxes"] for images in (large, squashed))
    difference = np.sort(np.abs(inside - outside).max(1))
    assert difference[-2] < 0.02 and np.median(difference) < 0.002, "more than one of 20 maps tipped over to another region"


def test_what_is_refused(htl, phantom, dense, by_map, tmp_path):
    """What cannot be done inside a file is refused in one line."""
    checkpoint = Checkpoint.load(dense)
    checkpoint.training = {"flip": [0.0, 0.0]}
    checkpoint.save(tmp_path / "still.h5")
    for model, flags, words in (
        (tmp_path / "still.h5", ("--doubt", "mirror"), "saw no mirror images in training"),
        (by_map, ("--doubt", "mirror"), "predicts the same for mirror images, whose mean its map is; leave out --doubt"),
        (dense, ("--doubt", "look"), "it looks once; leave out --doubt"),
        (dense, ("--quantize", "int8", "--any-size"), "--quantize int8 goes with neither --any-size nor --doubt"),
    ):
        code, out, err = htl("export", phantom.rows, "--model", model, "-o", tmp_path / "m.onnx", *flags)
        assert (code, out, words in err, (tmp_path / "m.onnx").exists()) == (2, b"", True, False), err


@pytest.mark.slow
def test_doubt_by_looks_inside(htl, phantom, dense, masks, tmp_path):
    """A file of a net that looks twice gives the disagreement of its looks, as `score` and `predict` of the checkpoint do."""
    twice, file = tmp_path / "m.h5", tmp_path / "m.onnx"
    checkpoint = Checkpoint.load(masks)
    checkpoint.architecture["looks"] |= {"count": 2, "average": False}  # what was best on split val may be one look
    checkpoint.save(twice)
    code, _, err = htl("export", phantom.rows, "--model", twice, "-o", file, "--doubt", "look")
    assert code == 0 and "largest difference of doubt" in err, err
    assert json.loads(OnnxModel(file, "cpu").about["htl.doubt"]) == {"column": "look_disagreement"}
    columns = []
    for model in (twice, file):
        code, out, err = htl("predict", phantom.rows, "--model", model, "--doubt", "look", "-q")
        assert code == 0, err
        columns.append([row["hardness"]["look_disagreement"] for row in split_lines(out) if "id" in row])
    assert max(columns[0]) > 0 and columns[1] == pytest.approx(columns[0], abs=1e-3)
    htl("export", phantom.rows, "--model", dense, "-o", tmp_path / "plain.onnx", "-q")
    code, _, err = htl("predict", phantom.rows, "--model", tmp_path / "plain.onnx", "--doubt", "look", "-q")
    assert code == 65 and "without --doubt look of export" in err
