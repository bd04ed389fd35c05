"""`htl prepare --phantom`: synthetic samples, and the share of them that keeps its boxes."""

import json

import h5py
import pytest


def rows_of(out):
    """The rows of a stream, without its notes."""
    return [row for row in map(json.loads, out.splitlines()) if "htl" not in row]


def test_phantoms(tmp_path, htl):
    """Phantoms take the same path: rows with facts and planted difficulties, the same whatever their number, wrong boxes in train only."""
    code, out, _ = htl("prepare", "--phantom", "60", "-o", tmp_path / "s", "-j", "1")
    rows = rows_of(out)
    assert code == 0 and len(rows) == 60 and rows[0]["size"] == [256, 192]
    assert set(rows[0]["meta"]) >= {"age", "sex", "site", "planted"} and rows[0]["meta"]["planted"] is None
    for row in rows:
        assert (row["meta"]["planted"] == "wrong") == ("true_box" in row["meta"])
        assert row["meta"]["planted"] != "wrong" or row["split"] == "train"
    _, out, _ = htl("prepare", "--phantom", "7", "-o", tmp_path / "t")
    assert [{**row, "store": ""} for row in rows_of(out)] == [{**row, "store": ""} for row in rows[:7]]
    with h5py.File(tmp_path / "s/00000.h5") as many, h5py.File(tmp_path / "t/00000.h5") as few:
        assert (many["images"][:7] == few["images"][:]).all() and many["masks"][0].any()


def test_few_labels(tmp_path, htl):
    """--labelled hides the boxes of whole training groups, the same ones for the same seed; the other splits keep theirs."""

    def made(name, *flags):
        code, out, err = htl("prepare", "--phantom", 60, "--size", 16, "-j", 1, "-o", tmp_path / name, *flags)
        assert code == 0, err
        return [row for row in map(json.loads, out.splitlines()) if "id" in row]

    rows, again, other, whole = (
        made("a", "--labelled", 0.3),
        made("b", "--labelled", 0.3),
        made("c", "--labelled", 0.3, "--label-seed", 1),
        made("d"),
    )
    kept = [{row["id"] for row in some if "boxes" in row} for some in (rows, again, other, whole)]
    assert kept[0] == kept[1] != kept[2]
    assert len(kept[3]) == 60
    training = {row["id"] for row in rows if row["split"] == "train"}
    assert 0 < len(kept[0] & training) < len(training) / 2
    assert {row["id"] for row in rows} - training <= kept[0]
    assert not any("true_box" in row["meta"] for row in rows if row["id"] not in kept[0])
    of_group = {}
    for row in rows:
        if row["split"] == "train":
            of_group.setdefault(row["group"], set()).add("boxes" in row)
    assert all(len(labelled) == 1 for labelled in of_group.values())


@pytest.mark.parametrize("share", ["-0.1", "1.5", "some"])
def test_no_share_of_labels(tmp_path, htl, share):
    """A share of labels is a number from 0 to 1."""
    assert htl("prepare", "--phantom", 4, "-o", tmp_path / "s", "--labelled", share)[0] == 2
