"""Sources: their images, with ids, facts and masks."""

import pytest
from PIL import Image

from htltools.errors import MissingInput


def test_the_usual_folder(folder, candidates_of):
    """images/, masks/ and metadata.csv are joined by name, in the order of the ids."""
    root = folder(
        "images/b.png", "images/a.png", "masks/a.png", "masks/b_segmentation.png", metadata="id,dx,x0,y0,x1,y1\na,nv,0,0,2,2\nz,nv,,,,\n"
    )
    findings = candidates_of(root)
    a, b = findings.candidates
    assert (a.id, a.masks, a.facts.label, a.masked) == ("a", (str(root / "masks/a.png"),), "nv", True)
    assert (b.id, b.masks, b.facts.known) == ("b", (str(root / "masks/b_segmentation.png"),), False)
    assert findings.labelled and findings.ignored_boxes and a.facts.boxes is None
    assert (findings.unused_lines, findings.unlisted) == (1, ["b"])


def test_a_plain_folder(folder, candidates_of):
    """A folder of images is searched to its depth; ids are paths without suffix; masks, hidden files and other files are passed over."""
    root = folder("b.png", "sub/deep/a.png", "masks/b.png", "._b.png", ".hidden/c.png")
    (root / "notes.txt").write_text("no image")
    findings = candidates_of(root / "sub", root)
    assert [c.id for c in findings.candidates] == ["b", "deep/a"]
    assert [skip["reason"] for skip in findings.skips] == ["it is given twice"]


def test_table_by_bare_name(folder, candidates_of):
    """A table may name images with or without folder and suffix."""
    root = folder("sub/a.png", "b.png", "c.png", t="file,label\na.png,1\nb,2\nsub/c.png,3\n")
    findings = candidates_of(root, tables=[root / "t.csv"])
    assert {c.id: c.facts.label for c in findings.candidates} == {"b": "2", "c": None, "sub/a": "1"}
    assert (findings.unused_lines, findings.unlisted, findings.labelled) == (1, ["c"], False)


def test_duplicate_ids(folder, candidates_of):
    """Two suffixes of one stem are two images; a file that is given twice is one, and said."""
    root = folder("a.png", "a.tif", "x/a.png")
    findings = candidates_of(root, root / "x/a.png")
    assert [(c.id, c.image) for c in findings.candidates] == [
        (f"{n}", str(root / f)) for n, f in (("a.png", "a.png"), ("a.tif", "a.tif"), ("x/a", "x/a.png"))
    ]
    assert [(s["source"], s["reason"]) for s in findings.skips] == [(str(root / "x/a.png"), "it is given twice")]


def test_a_list(folder, candidates_of):
    """A list of paths gives ids by stem, blank lines aside; spaces in names stay."""
    root = folder("b b.png", "a.png", t="id,label\na,1\n")
    findings = candidates_of("-", listed=[f"{root}/b b.png\n", "\n", f"{root}/a.png", f"{root}/gone.png\n"], tables=[root / "t.csv"])
    assert [c.id for c in findings.candidates] == ["a", "b b"]
    assert [(s["id"], s["reason"]) for s in findings.skips] == [("gone", "it is not there")]
    assert findings.candidates[0].facts.label == "1"


def test_masks_elsewhere(folder, candidates_of):
    """Masks may lie in another folder, under <id>_mask."""
    root = folder("p/a.png", "m/a_mask.png")
    assert candidates_of(root / "p", masks=root / "m").candidates[0].masks == (str(root / "m/a_mask.png"),)
    with pytest.raises(MissingInput):
        candidates_of(root / "p", masks=root / "none")


def test_nothing_there(folder, candidates_of):
    """A source that is not there, or that holds no image, is a missing input."""
    root = folder("a.png")
    (root / "empty").mkdir()
    for source in "nowhere", "empty":
        with pytest.raises(MissingInput):
            candidates_of(root / source)


def test_stamp_changes_with_the_file(folder, candidates_of):
    """The stamp of a candidate changes when its file does, or its facts in a table."""
    root = folder("a.png", metadata="id,label\na,1\n")
    first = candidates_of(root).candidates[0].stamp()
    assert candidates_of(root).candidates[0].stamp() == first
    folder(metadata="id,label\na,2\n")
    second = candidates_of(root).candidates[0].stamp()
    Image.new("L", (40, 4)).save(root / "a.png")
    third = candidates_of(root).candidates[0].stamp()
    assert first != second != third != first
