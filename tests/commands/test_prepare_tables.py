"""`htl prepare` with tables as people have them: what is asked for by flags, and what is said."""

import json

import pytest


@pytest.fixture
def prepared(tmp_path, htl, save_image):
    """Prepare images a, b, c (100x80) with tables, and give the rows by id and what was said."""
    for name in "abc":
        save_image(tmp_path / f"images/{name}.png", size=(100, 80))

    def run(*flags, code=0, **tables):
        for name, text in tables.items():
            (tmp_path / f"{name}.csv").write_text(text)
        given = [part for name in tables for part in ("--table", tmp_path / f"{name}.csv")]
        status, out, said = htl("prepare", tmp_path / "images", *given, *flags, "-o", tmp_path / "s", "--force", "-j", "1")
        assert status == code, said
        rows = [json.loads(line) for line in out.splitlines()]
        return {row["id"]: row for row in rows if "id" in row}, said

    return run


def test_boxes_by_name(prepared):
    """x,y,width,height named by --box-columns are a corner with width and height, with a class or without; a cell holds a box too."""
    text = "image,x,y,width,height\na,20,15,40,30\nb,20,15,40,30\nc,20,15,40,30\n"
    assert prepared("--box-columns", "x,y,width,height", t=text)[0]["a"]["boxes"] == [[20, 15, 60, 45]]
    row = prepared("--box-columns", "lesion=x,y,width,height", t=text)[0]["a"]
    assert (row["boxes"], row["labels"]) == ([[20, 15, 60, 45]], ["lesion"])
    cell = 'image,where\na,"[20, 15, 60, 45]"\nb,"[20, 15, 60, 45]"\nc,"[20, 15, 60, 45]"\n'
    assert prepared("--box-columns", "where", "--box-format", "xyxy", t=cell)[0]["a"]["boxes"] == [[20, 15, 60, 45]]
    assert "--box-columns takes four names" in prepared("--box-columns", "x,y,width", t=text, code=2)[1]


def test_known_to_be_empty(prepared):
    """--empty-when and the usual words make images known to hold none; others without a box are left out."""
    text = "image,{},x0,y0,x1,y1\na,{},,,,\nb,1,20,15,60,45\nc,1,,,,\n"
    for asked, column, word in ((), "Target", "0"), (("--empty-when", "seen=no"), "seen", "no"):
        rows, said = prepared(*asked, t=text.format(column, word))
        assert {name: row["boxes"] for name, row in rows.items()} == {"a": [], "b": [[20, 15, 60, 45]]}
        assert f"with {column}={word} hold no object: 1" in said
    assert "--empty-when takes COLUMN=WORD" in prepared("--empty-when", "Target", t=text, code=2)[1]


def test_splits_and_groups_by_flag(prepared):
    """--split-map, --split-column none, --group-column of two columns, --missing."""
    text = "image,subset,who,lesion,x0,y0,x1,y1\n" + "".join(
        f"{name},{word},20,15,60,45\n" for name, word in (("a", "A,1,x"), ("b", "A,gone,x"), ("c", "B,gone,y"))
    )
    rows, said = prepared("--split-map", "A=test,B=val", "--group-column", "who,lesion", "--missing", "gone", t=text)
    assert {name: (row["split"], row["group"]) for name, row in rows.items()} == {"a": ("test", "1"), "b": ("test", "1"), "c": ("val", "y")}
    assert "2 gone in who" in said
    assert "holds no splits but 'A', 'B'" in prepared(t=text)[1]
    assert "holds no splits" not in prepared("--split-column", "none", t=text)[1]
    assert "--split-map takes WORD=train" in prepared("--split-map", "A=clinic", t=text, code=2)[1]


def test_readers_and_repeated_lines(prepared):
    """Several readers are said and reduced by rule; a line that stands twice is one box and counted."""
    text = "image,rad_id,x0,y0,x1,y1\n" + "".join(f"{name},{reader},20,15,60,45\n" for name in "abc" for reader in ("R1", "R2", "R1"))
    rows, said = prepared("--readers", "majority", t=text)
    assert [row["boxes"] for row in rows.values()] == [[[20, 15, 60, 45]]] * 3
    assert "have several readers (rad_id): --readers majority" in said and "stand twice, and count once: 3" in said


def test_two_tables(prepared):
    """--table twice: boxes in one, patients in the other; both are recorded."""
    boxes = "Image Index,x0,y0,x1,y1\n" + "".join(f"{name}.png,20,15,60,45\n" for name in "abc")
    rows, _ = prepared(boxes=boxes, people="image,Patient ID\na,P1\nb,P1\nc,P2\n")
    assert {name: row["group"] for name, row in rows.items()} == {"a": "P1", "b": "P1", "c": "P2"}


def test_an_open_quote(prepared):
    """An open quote is refused with 65 and the line it opens in."""
    said = prepared(t='image,who,note\na,P1,"seen twice\nb,P2,ok\nc,P2,"no"\n', code=65)[1]
    assert "line 2: a quote" in said


def test_run_lengths(prepared):
    """Run lengths of a mask give its box and its pixels; -1 is no lesion, and runs of a larger image are left out with the reason."""
    along = " ".join(f"{row * 100 + 21} 40" for row in range(15, 45))
    rows, said = prepared(t=f"ImageId,EncodedPixels\na,{along}\nb,-1\nc,7999 40\n")
    assert {name: row["boxes"] for name, row in rows.items()} == {"a": [[20, 15, 60, 45]], "b": []}
    assert "its run lengths do not fit into an image of 100x80 (c)" in said


def test_shares(prepared):
    """Boxes of which none is larger than 1 are shares of the image, and that is said."""
    rows, said = prepared(t="image,x0,y0,x1,y1\n" + "".join(f"{name},.2,.1875,.6,.5625\n" for name in "abc"))
    assert rows["a"]["boxes"] == [[20, 15, 60, 45]] and "read as shares of the image's sides" in said
