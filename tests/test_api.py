"""The Python API, as a notebook uses it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from htltools import api
from htltools.errors import DataError, MissingInput

ROOT = Path(__file__).resolve().parents[1]


def test_rows_images_and_predictions_are_those_of_the_commands(htl, phantom, scored, dense):
    """A notebook reads rows and images, and predicts what `htl score` wrote into the rows; a table of pandas can be made of them."""
    rows = api.read_rows(scored)
    images = api.read_images(rows[:7])
    assert (images.shape, images.dtype) == ((7, 32, 32, 3), np.uint8)
    model = api.load_model(dense)
    assert (model.task, model.classes, model.frame) == ("box", [], [32, 32, 3])
    assert model.values(images, api.sizes(rows[:7])) == [row["predicted"]["dense"] for row in rows[:7]]
    shares = model.predict(images)
    assert shares.shape == (7, 4) and shares.min() >= 0 and shares.max() <= 1
    assert model.values(images)[0] == pytest.approx(list(shares[0] * 32), abs=0.01)
    assert set(api.__all__) <= set(dir(api)) and all(getattr(api, name).__doc__ for name in api.__all__)


def test_rows_go_back_to_the_commands(htl, scored, tmp_path):
    """What a notebook chose is written for any command, numbers of numpy included; a NaN and a row without an id are refused."""
    rows = [row | {"weight": np.float32(0.5)} for row in api.read_rows(scored) if row["split"] == "train"][:5]
    api.write_rows(tmp_path / "some.jsonl", rows)
    code, out, _ = htl("view", tmp_path / "some.jsonl", "--no-notes")
    assert code == 0 and [json.loads(line)["weight"] for line in out.splitlines()] == [0.5] * 5
    for wrong, reason in (
        ({"id": "a", "x": float("nan")}, "not json compliant"),
        ({"split": "train"}, "id"),
        ({"id": "a", "x": {1}}, "set"),
    ):
        with pytest.raises(DataError, match=reason):
            api.write_rows(tmp_path / "some.jsonl", [wrong])
    assert len(api.read_rows(tmp_path / "some.jsonl")) == 5, "the old file stays"


def test_what_is_not_there_or_does_not_fit(phantom, dense, scored):
    """Errors are those of the commands: cause and remedy."""
    with pytest.raises(MissingInput, match=r"no\.h5 is not there"):
        api.load_model("no.h5")
    with pytest.raises(DataError, match="a model takes uint8"):
        api.load_model(dense).predict(np.zeros((2, 32, 32, 3), np.float32))
    with pytest.raises(DataError, match="images of 16x16x3"):
        api.load_model(dense).predict(np.zeros((2, 16, 16, 3), np.uint8))
    with pytest.raises(DataError, match="has no size"):
        api.sizes([{"id": "a"}])


def test_masks_and_files(phantom, tmp_path):
    """Masks are those that the phantoms were painted with, and image files are decoded as `htl prepare` decodes them."""
    rows = api.read_rows(phantom.rows)[:4]
    assert api.read_masks(rows).shape == (4, 32, 32) and api.read_masks(rows).any((1, 2)).all()
    api.write_phantoms(tmp_path / "clinic", 20)
    image, size = api.read_image(tmp_path / "clinic" / "images" / "0003.png", (32, 32))
    assert (image.shape, size) == ((32, 32, 3), (256, 192))
    table = (tmp_path / "clinic" / "metadata.csv").read_text().splitlines()
    assert table[0] == "image_id,lesion_id,split,dx,x0,y0,x1,y1,age,sex,site" and len(table) == 21
    assert [line.split(",")[2] for line in table[1:]] == ["train"] * 14 + ["val"] * 2 + ["test"] * 4
    assert len((tmp_path / "clinic.truth.csv").read_text().splitlines()) == 20
    with pytest.raises(DataError, match=r"clinic\.truth\.csv: no image in a known format"):
        api.read_image(tmp_path / "clinic.truth.csv", (32, 32))


def test_rows_are_read_without_torch(scored):
    """Reading rows and images in a notebook does not import torch."""
    code = f"import sys; from htltools import api; api.read_images(api.read_rows({str(scored)!r})); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
