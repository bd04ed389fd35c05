"""What `htl prepare` leaves out, and what it keeps though it looks wrong: skips.jsonl, stderr and exit codes."""

import json

import numpy as np
from PIL import Image


def rows_of(out):
    """The rows of a stream, without its notes."""
    return [row for row in map(json.loads, out.splitlines()) if "htl" not in row]


def reasons_in(folder):
    """Reason by id of what was left out."""
    return {skip["id"]: skip["reason"] for skip in listed_in(folder) if not skip.get("kept")}


def listed_in(folder):
    """The lines of skips.jsonl."""
    return [line for line in map(json.loads, (folder / "skips.jsonl").read_bytes().splitlines()) if "htl" not in line]


def test_what_cannot_be_used_is_listed(study, tmp_path, htl, save_image):
    """Truncated images, empty and missing masks are left out with a reason, counted in the end note, and listed."""
    save_image(study / "images/cut.jpg", size=(300, 300))
    (study / "images/cut.jpg").write_bytes((study / "images/cut.jpg").read_bytes()[:3000])
    save_image(study / "images/empty.png")
    save_image(study / "images/bare.png")
    for name in "cut", "empty":
        save_image(study / f"masks/{name}.png", np.zeros((20, 40), np.uint8))
    code, out, err = htl("prepare", study, "-o", tmp_path / "s")
    assert code == 0 and json.loads(out.splitlines()[-1]) | {"by": "", "sha256": ""} == {
        "htl": "end",
        "by": "",
        "rows": 3,
        "skipped": 3,
        "sha256": "",
    }
    assert reasons_in(tmp_path / "s") == {"bare": "no mask", "cut": "the file is cut short", "empty": "the mask is empty"}
    assert "left out 1: the mask is empty (empty)" in err and str(tmp_path / "s/skips.jsonl") in err
    assert [row["index"] for row in rows_of(out)] == [0, 1, 2]


def test_keep_unlabelled(study, tmp_path, htl, save_image):
    """--keep-unlabelled keeps images without annotation as rows without boxes, and those known to hold nothing with []."""
    save_image(study / "images/empty.png")
    save_image(study / "masks/empty.png", np.zeros((20, 40), np.uint8))
    save_image(study / "images/bare.png")
    code, out, _ = htl("prepare", study, "-o", tmp_path / "s", "--keep-unlabelled")
    rows = {row["id"]: row for row in rows_of(out)}
    assert code == 0 and len(rows) == 5
    assert "boxes" not in rows["bare"] and rows["empty"]["boxes"] == []


def test_strict(study, tmp_path, htl, save_image):
    """--strict fails with 65 after the list is written, and leaves the stream without its end."""
    save_image(study / "images/bare.png")
    code, out, err = htl("prepare", study, "-o", tmp_path / "s", "--strict")
    assert code == 65 and "htl prepare: left out: 1; to look at: " in err and "and --strict was given" in err
    assert reasons_in(tmp_path / "s") == {"bare": "no mask"}
    assert b'"htl":"end"' not in out


def test_strict_refuses_what_looks_wrong(study, tmp_path, htl, save_image):
    """--strict fails with 65 and names each kind of doubt where samples are kept that look wrong; without it they are kept."""
    save_image(study / "images/dark.png", np.zeros((20, 40, 3), np.uint8))
    save_image(study / "masks/dark.png", np.full((20, 40), 255, np.uint8))
    code, out, err = htl("prepare", study, "-o", tmp_path / "s", "--strict")
    assert code == 65 and b'"htl":"end"' not in out
    assert "a box covers everything" in err.splitlines()[-1] and "an image of one value" in err.splitlines()[-1]
    assert htl("prepare", study, "-o", tmp_path / "s")[0] == 0


def test_one_stem_of_two_suffixes(study, tmp_path, htl, save_image):
    """Two images that differ in their suffix are both left out where a mask does not say which one it means."""
    save_image(study / "images/a.tif")
    code, _, err = htl("prepare", study, "-o", tmp_path / "s")
    reason = "the mask a.png fits 2 images"
    assert (
        code == 0 and "left out 2" in err and reasons_in(tmp_path / "s") | {"a.png": reason, "a.tif": reason} == reasons_in(tmp_path / "s")
    )


def test_nothing_left(study, tmp_path, htl):
    """Where no sample is left the command fails with 65."""
    for path in (study / "images").iterdir():
        path.write_bytes(b"nothing")
    code, _, err = htl("prepare", study, "-o", tmp_path / "s")
    assert code == 65 and "no sample is left" in err


def test_what_looks_wrong_is_listed(tmp_path, htl, save_image):
    """The same pixels in two splits, boxes of all or nothing, an age of 0 and a second spelling are kept, counted by kind, and listed."""
    random = np.random.default_rng(3)
    for name in "abcde":
        save_image(tmp_path / f"p/{name}.png", random.integers(0, 256, (20, 40, 3), np.uint8))
    save_image(tmp_path / "p/copy.png", np.asarray(Image.open(tmp_path / "p/a.png")))
    lines = "a,P1,train,50,male,1,1,20,9", "b,P2,train,0,male,0,0,40,20", "c,P3,val,61,Male,5,5,5.5,19", "copy,P4,test,50,male,1,1,20,9"
    others = "d,p1,train,,lower back,1,1,20,9", "e,P5,train,130,Lower_Back,1,1,20,9"
    (tmp_path / "t.csv").write_text("id,patient_id,split,age,sex,x0,y0,x1,y1\n" + "\n".join([*lines, *others]) + "\n")
    args = "prepare", tmp_path / "p", "--table", tmp_path / "t.csv", "-o", tmp_path / "s", "--size", "16x32"
    code, out, err = htl(*args)
    assert code == 0 and len(rows_of(out)) == 6 and json.loads(out.splitlines()[-1])["skipped"] == 0
    whole = {"source": str(tmp_path / "p/b.png"), "kept": True}
    assert {"id": "b", "reason": "age is 0"} | whole in listed_in(tmp_path / "s")
    assert sorted((line["id"], line["reason"]) for line in listed_in(tmp_path / "s")) == [
        ("b", "age is 0"),
        ("b", "the box [0.0, 0.0, 40.0, 20.0] covers the whole image of 40x20"),
        ("c", "sex is 'Male', elsewhere 'male'"),
        ("c", "the box [5.0, 5.0, 5.5, 19.0] is thinner than a stored pixel of 40x20"),
        ("copy", "the same pixels as a, which stands in another split (train, this one in test)"),
        ("d", "group is 'p1', elsewhere 'P1'"),
        ("d", "sex is 'lower back', elsewhere 'Lower_Back'"),
        ("e", "age is 130"),
    ]
    assert "htl prepare: look at 1: the same pixels in two splits (copy)\n" in err
    assert err.endswith(f"htl prepare: 6 samples in {tmp_path}/s, 8 to look at: see {tmp_path}/s/skips.jsonl\n")
    before = listed_in(tmp_path / "s")
    assert htl(*args)[0] == 0 and listed_in(tmp_path / "s") == before


def test_grey_images_of_different_ranges(tmp_path, htl, save_image):
    """Grey images of more than 8 bits say which values are black and white; those that differ from most are listed."""
    random = np.random.default_rng(3)
    for name, highest in (("a", 4000), ("b", 3500), ("c", 900)):
        save_image(tmp_path / f"p/{name}.png", random.integers(0, highest, (20, 40), np.uint16))
    code, out, err = htl("prepare", tmp_path / "p", "-o", tmp_path / "s", "--size", "16x32")
    assert (code, rows_of(out)[0]["meta"]["rendering"]) == (0, "range 0 to 4095")
    assert "look at 1: grey images of more than 8 bits are read with different ranges (c)" in err
    reason = "read with the range 0 to 1023, most others with the range 0 to 4095"
    assert [line["reason"] for line in listed_in(tmp_path / "s")] == [reason]
