"""`htl view --to`: rows for other programs, as CSV, COCO and FiftyOne."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from htltools.formats.rows.jsonlines import joined_lines, split_lines

ROWS = [
    {"id": "a", "split": "train", "label": "nv", "meta": {"age": 70, "site": "face"}, "mine": [1, 2]},
    {"id": "b", "split": "test", "label": "mel", "meta": {"age": 30, "site": "b\tack\n"}, "hardness": {"pruned_disagreement": 0.75}},
    {"id": "c", "split": "test", "label": "nv", "meta": {"age": 45}},
]


def test_csv(htl):
    """--to csv writes quoted cells that any reader takes apart again, of --columns or of all fields."""
    code, out, _ = htl("view", "--to", "csv", stdin=joined_lines(ROWS))
    heading, *lines = csv.reader(out.decode().splitlines(keepends=True))
    assert code == 0
    fields = "id split label x0 y0 x1 y1 width height mine age site hardness.pruned_disagreement"
    assert heading == fields.split()
    assert lines[1] == ["b", "test", "mel", *[""] * 7, "30", "b\tack\n", "0.75"]
    flags = "--columns", "site,pruned_disagreement", "--sort", "pruned_disagreement", "--limit", 1
    out = htl("view", "--to", "csv", *flags, stdin=joined_lines(ROWS))[1]
    assert out == b'site,pruned_disagreement\r\n"b\tack\n",0.75\r\n'


@pytest.fixture
def images(tmp_path, htl):
    """A folder of three images, and the rows that prepare makes of it, with a weight and a hardness, one of them without a box."""
    (tmp_path / "images").mkdir()
    for name in "abc":
        Image.new("RGB", (40, 30)).save(tmp_path / "images" / f"{name}.png")
    lines = "id,patient_id,split,dx,x0,y0,x1,y1,age", "a,P1,train,nv,1,2,30,20,40", "b,P1,train,mel,0.5,0,10,10,50", "c,P2,test,nv,,,,,60"
    (tmp_path / "metadata.csv").write_text("\n".join(lines))
    code, out, err = htl("prepare", tmp_path, "--keep-unlabelled", "-q", "-j", 1, "--size", 16, "-o", tmp_path / "store")
    assert code == 0, err
    rows = [line | {"weight": 0.5, "hardness": {"pruned_disagreement": 0.25}} for line in split_lines(out) if "id" in line]
    assert [row.get("boxes") for row in rows] == [[[1, 2, 30, 20]], [[0.5, 0, 10, 10]], None]
    return tmp_path, rows


@pytest.mark.parametrize("form", ["coco", "csv"])
def test_written_rows_can_be_prepared_again(htl, images, form):
    """Rows written by --to coco or csv and prepared again have the ids, groups, splits, labels, boxes and meta that they had."""
    folder, rows = images
    if form == "coco":
        code, out, err = htl("view", "--to", f"coco:{folder}/rows.json", stdin=joined_lines(rows))
        summary = "3 rows, 1 of them not annotated, which other programs may take for empty"
        assert (code, out, err) == (0, b"", f"htl view: {folder}/rows.json: {summary}\n")
        assert [image["weight"] for image in json.loads((folder / "rows.json").read_text())["images"]] == [0.5] * 3
        assert htl("view", "--to", f"coco:{folder}/rows.json", stdin=joined_lines(rows))[0] == 73
    else:
        (folder / "rows.csv").write_bytes(htl("view", "--to", "csv", stdin=joined_lines(rows))[1])
    (folder / "metadata.csv").unlink()
    named = ["--coco", folder / "rows.json"] if form == "coco" else ["--table", folder / "rows.csv"]
    code, out, err = htl("prepare", folder, *named, "--keep-unlabelled", "-q", "-j", 1, "--size", 16, "-o", folder / "again")
    assert code == 0, err
    again = [line for line in split_lines(out) if "id" in line]
    for name in "id", "group", "split", "label", "boxes", "size":
        assert [row.get(name) for row in again] == [row.get(name) for row in rows], name
    assert [row["meta"] | before["meta"] for row, before in zip(again, rows)] == [row["meta"] for row in again]
    if form == "csv":
        assert [row["meta"]["hardness.pruned_disagreement"] for row in again] == [0.25] * 3


def test_known_to_hold_none_in_csv(htl, images):
    """An image that is known to hold nothing is that again after --to csv and prepare, and one that nobody annotated is not."""
    folder, rows = images
    rows = [row | {"boxes": []} if row["id"] == "b" else row for row in rows]
    (folder / "rows.csv").write_bytes(htl("view", "--to", "csv", stdin=joined_lines(rows))[1])
    out = htl("prepare", folder, "--table", folder / "rows.csv", "--keep-unlabelled", "-q", "-j", 1, "--size", 16, "-o", folder / "again")[
        1
    ]
    again = {row["id"]: row for row in split_lines(out) if "id" in row}
    assert [row.get("boxes") for row in again.values()] == [[[1, 2, 30, 20]], [], None] and "has_box" not in again["b"]["meta"]


def test_fiftyone(htl, scored, phantom, tmp_path):
    """--to fiftyone writes a folder of the chosen rows and their images, whole, and never over what is there without --force."""
    chosen = "view", scored, "--split", "train", "--sort", "pruned_disagreement", "--limit", 7
    args = *chosen, "--to", f"fiftyone:{tmp_path}/hard"
    assert htl(*args) == (0, b"", f"htl view: {tmp_path}/hard: 7 rows\n")
    rows = [row for row in split_lines(htl(*chosen)[1]) if "id" in row]
    samples = json.loads((tmp_path / "hard" / "samples.json").read_bytes())["samples"]
    assert [[sample["row_id"], sample["pruned_disagreement"]] for sample in samples] == [
        [row["id"], row["hardness"]["pruned_disagreement"]] for row in rows
    ]
    for sample in samples:
        assert {"annotated", "dense", "pruned", "suspect", "age", "sex", "site", "group_id", "label"} <= set(sample)
        assert np.asarray(Image.open(tmp_path / "hard" / sample["filepath"])).shape == (32, 32, 3)
    code, _, err = htl(*args)
    assert (code, err) == (73, f"htl view: {tmp_path}/hard exists; replace it with --force, or name another output\n")
    assert htl(*args, "--force")[0] == 0
    (tmp_path / "hard" / "notes").touch()
    said = f"htl view: {tmp_path}/hard holds what htl did not write, and stays; name another folder\n"
    assert htl(*args, "--force")[::2] == (73, said)
    _, _, err = htl("view", phantom.rows, "--where", "age>200", "--to", f"fiftyone:{tmp_path}/none")
    assert err == "htl view: no row is left to write\n"


def test_fiftyone_is_the_same_bytes_again(htl, scored, tmp_path):
    """With --no-history the same rows give the same files, as DVC and git want it."""
    for name in "ab":
        assert htl("view", scored, "--limit", 3, "--to", f"fiftyone:{tmp_path}/{name}", "--no-history")[0] == 0
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*")]
    assert len(files) == 5
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
