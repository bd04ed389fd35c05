"""`htl prepare`: what becomes of images, masks and tables."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

DATA = Path(__file__).parents[3] / "shared" / "data"


def rows_of(out):
    """The rows of a stream, without its notes."""
    return [row for row in map(json.loads, out.splitlines()) if "htl" not in row]


def listed_in(folder):
    """The lines of skips.jsonl."""
    return [line for line in map(json.loads, (folder / "skips.jsonl").read_bytes().splitlines()) if "htl" not in line]


def reasons_in(folder):
    """Reason by id of what was left out."""
    return {skip["id"]: skip["reason"] for skip in listed_in(folder) if not skip.get("kept")}


def test_a_study_becomes_rows_and_a_store(study, tmp_path, htl):
    """Rows hold the fields of the contract in its order, boxes are in the image's frame, and the store holds the images and masks."""
    code, out, err = htl("prepare", study, "-o", tmp_path / "s", "--size", "16x32")
    assert code == 0 and "3 samples" in err
    rows, notes = rows_of(out), [json.loads(line) for line in (out.splitlines()[0], out.splitlines()[-1])]
    assert rows[0] == {
        "id": "a",
        "group": "P1",
        "split": "train",
        "store": str(tmp_path / "s/00000.h5"),
        "index": 0,
        "file": "images/a.png",
        "source_folder": str(study),
        "mask_files": ["masks/a.png"],
        "size": [40, 20],
        "boxes": [[10.0, 5.0, 25.0, 15.0]],
        "label": "nv",
        "meta": {"age": 45},
    }
    assert list(rows[1])[:5] == ["id", "group", "split", "store", "index"]
    assert list(rows[1])[5:] == ["file", "source_folder", "mask_files", "size", "boxes", "label", "meta"]
    assert rows[1]["meta"] == {"age": 60, "site": "back"} and "meta" not in rows[2]
    assert (notes[0]["htl"], notes[1]["htl"], notes[1]["rows"], notes[1]["skipped"]) == ("begin", "end", 3, 0)
    assert notes[0]["history"][0]["parameters"]["size"] == "16x32"
    assert "metadata.csv" in next(iter(notes[0]["history"][0]["inputs"]))
    with h5py.File(tmp_path / "s/00000.h5") as file:
        assert file["images"].shape == (3, 16, 32, 3) and file["images"].chunks is None and file["images"].dtype == np.uint8
        assert file["masks"].shape == (3, 16, 32) and set(np.unique(file["masks"])) == {0, 255}
        assert (file["masks"][0, 4:12, 8:20] == 255).all() and file["masks"][0].sum() == 8 * 12 * 255


def test_boxes_of_a_table(tmp_path, htl, save_image):
    """Boxes partly outside are cut, those wholly outside or empty are left out with a reason, several lines are several boxes."""
    for name in "abcde":
        save_image(tmp_path / f"p/{name}.png")
    (tmp_path / "t.csv").write_text("id,x0,y0,x1,y1\na,-5,2,10,30\nb,40,0,50,9\nc,5,5,5,9\nd,0,0,4,4\nd,2,2,20,12\n")
    code, out, _ = htl("prepare", tmp_path / "p", "--table", tmp_path / "t.csv", "-o", tmp_path / "s")
    assert code == 0 and {row["id"]: row["boxes"] for row in rows_of(out)} == {
        "a": [[0.0, 2.0, 10.0, 20.0]],
        "d": [[0.0, 0.0, 4.0, 4.0], [2.0, 2.0, 20.0, 12.0]],
    }
    assert reasons_in(tmp_path / "s") == {
        "b": "the box [40.0, 0.0, 50.0, 9.0] lies outside its image of 40x20",
        "c": "the box [5.0, 5.0, 5.0, 9.0] is empty",
        "e": "no line in the table",
    }
    _, out, _ = htl("prepare", tmp_path / "p", "--table", tmp_path / "t.csv", "-o", tmp_path / "u", "--one-box", "union")
    assert rows_of(out)[1]["boxes"] == [[0.0, 0.0, 20.0, 12.0]]
    _, out, _ = htl("prepare", tmp_path / "p", "--table", tmp_path / "t.csv", "-o", tmp_path / "f", "--box-frame", "80x40")
    assert {row["id"]: row["boxes"] for row in rows_of(out)}["b"] == [[20.0, 0.0, 25.0, 4.5]]


def test_coco(tmp_path, htl, save_image):
    """COCO boxes are scaled to the image's own frame; a frame of another form is refused; no annotation means no object."""
    for name in "abc":
        save_image(tmp_path / f"p/{name}.png")
    images = [{"id": i, "file_name": f"{name}.png", "width": 80, "height": 40 if name != "c" else 80} for i, name in enumerate("abc")]
    annotations = [{"image_id": i, "bbox": [8, 4, 16, 8], "category_id": 1} for i in (0, 2)]
    (tmp_path / "c.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "mel"}]}))
    code, out, _ = htl("prepare", tmp_path / "p", "--coco", tmp_path / "c.json", "-o", tmp_path / "s")
    rows = {row["id"]: row for row in rows_of(out)}
    assert code == 0 and rows["a"]["boxes"] == [[4.0, 2.0, 12.0, 6.0]] and rows["a"]["label"] == "mel" and rows["b"]["boxes"] == []
    assert reasons_in(tmp_path / "s") == {"c": "annotated as 80x80, but the image is 40x20"}


def test_images_alone(tmp_path, htl, save_image):
    """Without any source of boxes all images are kept, unlabelled, with splits by hash that stay when images are added."""
    for i in range(12):
        save_image(tmp_path / f"p/{i}.png")
    _, out, _ = htl("prepare", tmp_path / "p", "-o", tmp_path / "s")
    before = {row["id"]: row["split"] for row in rows_of(out)}
    assert len(before) == 12 and all("boxes" not in row for row in rows_of(out))
    save_image(tmp_path / "p/00.png")
    _, out, _ = htl("prepare", tmp_path / "p", "-o", tmp_path / "t")
    assert {row["id"]: row["split"] for row in rows_of(out) if row["id"] in before} == before


def test_exif_orientation_turns_size_and_image(tmp_path, htl, save_image):
    """A photo taken sideways is stored upright, and its size is that of the upright image."""
    exif = Image.Exif()
    exif[0x0112] = 6
    save_image(tmp_path / "p/a.jpg", exif=exif)
    _, out, _ = htl("prepare", tmp_path / "p", "-o", tmp_path / "s")
    assert rows_of(out)[0]["size"] == [20, 40]


def test_group_in_two_splits(study, tmp_path, htl):
    """A table that puts one group into two splits is refused with 65, before anything is written."""
    (study / "metadata.csv").write_text("id,patient_id,split\na,P1,train\nb,P1,test\n")
    code, out, err = htl("prepare", study, "-o", tmp_path / "s")
    assert code == 65 and "the group 'P1' stands in two splits, train and test" in err
    assert not out and not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (["nowhere"], 66),
        (["empty"], 66),
        ([], 2),
        (["empty", "--phantom", "3"], 2),
        (["--phantom", "3", "--size", "0"], 2),
        (["--phantom", "3", "--size", "9x9x9"], 2),
        (["--phantom", "3", "--splits", "1,2"], 2),
        (["--phantom", "0"], 2),
        (["empty", "--box-columns", "a,b"], 2),
        (["empty", "--nonsense"], 2),
        (["empty", "--table", "none.csv"], 66),
    ],
)
def test_wrong_calls(tmp_path, monkeypatch, htl, flags, code):
    """Wrong flags are 2 and missing sources 66, in one line or typer's own, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert htl("prepare", *flags, "-o", "s")[0] == code
    assert not (tmp_path / "s").exists()


@pytest.mark.skipif(not (DATA / "ham10000").is_dir(), reason="needs ham10000 in ../shared/data")
def test_ham10000(tmp_path, htl):
    """Boxes from HAM10000's masks, scaled to its smaller images, are those of its table."""
    code, out, err = htl("prepare", DATA / "ham10000", "-o", tmp_path / "s", "--limit", "40", "-j", "1")
    assert code == 0 and "boxes are taken from the masks" in err
    lines = (DATA / "ham10000/metadata.csv").read_text().splitlines()
    table = {line.split(",")[0]: line.split(",") for line in lines}
    for row in rows_of(out):
        cells = table[row["id"]]
        assert row["size"] == [200, 150] and (row["group"], row["label"], row["split"]) == (cells[1], cells[2], cells[12])
        assert row["boxes"][0] == pytest.approx([float(cell) / 3 for cell in cells[8:12]], abs=1e-3)
