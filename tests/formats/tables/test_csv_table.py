"""Tables: common columns are recognised, and the rest becomes meta."""

import pytest

from htltools.errors import DataError, MissingInput
from htltools.formats.tables.csv_table import Columns, read_table
from htltools.formats.tables.facts import image_key


@pytest.fixture
def table(tmp_path):
    """Write a table and read it: facts by name, and all that was understood."""

    def read(text, **asked):
        path = tmp_path / "t.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        annotations = read_table(path, Columns(**asked))
        return annotations.facts, annotations

    return read


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_and_a_byte_order_mark(table, delimiter):
    """Commas, semicolons and tabs are distinguished, a byte order mark and quotes do no harm."""
    text = '\ufeffimage_id,lesion_id,dx,"age"\r\na,L1,nv,45.0\r\n'.replace(",", delimiter)
    facts, annotations = table(text)
    assert (facts["a"].group, facts["a"].label, facts["a"].meta) == ("L1", "nv", {"age": 45})
    assert annotations.roles["ids"] == "column image_id"


def test_common_names(table):
    """The group is group_id before patient_id before lesion_id; columns without a role become metadata of that name."""
    facts, annotations = table("isic_id,lesion_id,patient_id,diagnosis,subset\na,L1,P1,mel,validation\n")
    assert (facts["a"].group, facts["a"].label, facts["a"].split) == ("P1", "mel", "val")
    assert facts["a"].meta == {"lesion_id": "L1"}
    assert not annotations.boxed and facts["a"].boxes is None


def test_columns_by_flag(table):
    """Columns that are asked for win over common names; one that is not there is refused."""
    text = "image_id,scan,label,who\na,b,c,d\n"
    facts, _ = table(text, id="scan", group="who", label="image_id")
    assert (facts["b"].group, facts["b"].label, facts["b"].meta) == ("d", "a", {"label": "c"})
    with pytest.raises(DataError, match=r"t\.csv has no column 'patient'; it has image_id, scan, label, who"):
        table(text, group="patient")
    with pytest.raises(DataError, match="no column of image names; name it with --id-column"):
        table("a,b\n1,2\n")


def test_numbers_in_meta(table):
    """A column is numbers only if all of it is: no leading zeros, no numbers too long to keep; empty cells are absent."""
    facts, _ = table("id,age,code,mixed,uid,ratio,gone\na,45.0,007,1,12345678901234567890,1.5,\nb,0,12,x,1,2e3,nan\n")
    assert facts["a"].meta == {"age": 45, "code": "007", "mixed": "1", "uid": "12345678901234567890", "ratio": 1.5}
    assert facts["b"].meta == {"age": 0, "code": "12", "mixed": "x", "uid": "1", "ratio": 2000}
    assert type(facts["a"].meta["age"]) is int


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("bbox_x0,bbox_y0,bbox_x1,bbox_y1", "1,2,4,6"),
        ("x0,y0,x1,y1", "1,2,4,6"),
        ("XMin,YMin,XMax,YMax", "1,2,4,6"),
        ("x,y,w,h", "1,2,3,4"),
        ("x,y,width,height", "1,2,3,4"),
    ],
)
def test_box_columns(table, header, cells):
    """Boxes are recognised by their usual names, as corners or as corner and sides."""
    facts, _ = table(f"id,{header}\na,{cells}\nb,,,,\n")
    assert facts["a"].boxes == [[1, 2, 4, 6]] and facts["b"].boxes is None and facts["a"].meta == {}


def test_box_columns_by_flag(table):
    """Box columns and their format can be named."""
    text = "id,left,top,wide,tall\na,1,2,3,4\n"
    assert table(text, boxes=[(None, ["left", "top", "wide", "tall"])], box_format="xywh")[0]["a"].boxes == [[1, 2, 4, 6]]
    assert table(text, boxes=[(None, ["left", "top", "wide", "tall"])])[0]["a"].boxes == [[1, 2, 3, 4]]


def test_sets_of_box_columns(table):
    """Columns with a class in front are a box each, of that class, in the order of the table; one may be empty."""
    header = "id,label,right_lung_x0,right_lung_y0,right_lung_x1,right_lung_y1,left_lung_x0,left_lung_y0,left_lung_x1,left_lung_y1\n"
    facts, _ = table(header + "a,ill,1,2,3,4,5,6,7,8\nb,ill,,,,,5,6,7,8\nc,,,,,,,,,\n")
    assert (facts["a"].boxes, facts["a"].labels, facts["a"].label) == ([[1, 2, 3, 4], [5, 6, 7, 8]], ["right_lung", "left_lung"], "ill")
    assert (facts["b"].boxes, facts["b"].labels) == ([[5, 6, 7, 8]], ["left_lung"])
    assert (facts["c"].boxes, facts["c"].labels) == (None, None)
    assert not facts["a"].meta
    asked = [("one", ["right_lung_x0", "right_lung_y0", "right_lung_x1", "right_lung_y1"])]
    assert table(header + "a,ill,1,2,3,4,5,6,7,8\n", boxes=asked)[0]["a"].labels == ["one"]


def test_lines_of_one_image_with_labels_of_their_own(table):
    """Where the lines of an image have different labels, each box has that of its line; where all agree, the images have it."""
    facts, _ = table("id,label,x0,y0,x1,y1\na,cat,1,2,3,4\na,dog,5,6,7,8\na,,0,0,1,1\nb,cat,1,2,3,4\nb,cat,5,6,7,8\n")
    assert (facts["a"].labels, facts["a"].label) == (["cat", "dog", "object"], None)
    assert (facts["b"].labels, facts["b"].label) == (["cat", "cat"], "cat")
    facts, _ = table("id,label,x0,y0,x1,y1\na,cat,1,2,3,4\nb,dog,1,2,3,4\n")
    assert (facts["a"].labels, facts["a"].label) == (None, "cat")


def test_several_lines_are_several_boxes(table):
    """Several lines of one image are several boxes, and a line that stands twice is one; they must agree on the split."""
    facts, annotations = table("id,group_id,x0,y0,x1,y1\na,g,1,2,3,4\na,g,5,6,7,8\na,g,1,2,3,4.0\n")
    assert facts["a"].boxes == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert any(note.endswith("stand twice, and count once: 1") for note in annotations.notes)
    with pytest.raises(DataError, match="line 3: 'a' has another split than before"):
        table("id,split\na,val\na,test\n")


def test_lines_that_differ(table):
    """A label or metadata that differs between the lines of an image is left out and said, whichever line stands first."""
    for lines in ["a,nevus,male", "a,melanoma,female"], ["a,melanoma,female", "a,nevus,male"]:
        facts, annotations = table("\n".join(["image,dx,sex", *lines, "b,nevus,male"]))
        assert (facts["a"].label, facts["a"].meta, facts["b"].label) == (None, {}, "nevus")
        assert [doubt.split(" differ in ")[1].split(",")[0] for doubt in annotations.doubts] == ["dx", "sex"]


@pytest.mark.parametrize(
    ("word", "split"), [("Train", "train"), ("training", "train"), ("valid", "val"), ("dev", "val"), ("testing", "test")]
)
def test_split_words(table, word, split):
    """Usual words for the splits are understood."""
    assert table(f"id,split\na,{word}\n")[0]["a"].split == split


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("id,split\na,train\nb,holdout\n", "line 3: the split 'holdout' is none of train, val, test; --split-map holdout=val"),
        ("id,x0,y0,x1,y1\na,1,2,3,\n", "line 2: the box 1,2,3, is not four numbers"),
        ("id,age\na,1,2\n", "line 2: 3 cells under 2 columns"),
        ("id,age,age\na,1,2\n", "the column 'age' stands twice"),
        (b"id,site\na,R\x81cken\n", "is no text in UTF-8, UTF-16 or Windows-1252"),
        (b"PK\x03\x04...", "is a spreadsheet, and no table of text"),
        ('id,a,b\n1,x,y\n2,"open,z\n3,x,y\n', r'line 3: a quote \("\) opens and is not closed'),
        ('id,a,b\n1,x,y\n2,open,"z\n3,x,y\n4,x,12"\n', "line 3: a quote .* swallows the lines to 5"),
        ('id,a,b\n1,x,"y\n2,x,"z\n', "line 2: a quote"),
    ],
)
def test_bad_tables(table, text, words):
    """A bad value is refused, with the line."""
    with pytest.raises(DataError, match=words):
        table(text)


def test_line_ends_and_quoted_lines(table):
    """Lines may end as on any system, also within quotes; blank lines are passed over."""
    for end in "\n", "\r\n", "\r":
        facts, _ = table(f'id,note,code{end}a,"one{end}two",007{end}{end}b,,8{end}'.encode())
        assert facts["a"].meta["note"].splitlines() == ["one", "two"] and facts["a"].meta["code"] == "007"
        assert facts["b"].meta == {"code": "8"}  # a column with 007 in it holds names


def test_missing_table(tmp_path):
    """A table that is not there is a missing input."""
    with pytest.raises(DataError, match="is a folder; name a folder of annotation files with --annotations"):
        read_table(tmp_path)
    with pytest.raises(MissingInput, match="is not there"):
        read_table(tmp_path / "none.csv")


def test_image_keys():
    """An image is the same with and without suffix, with either slash; dots in names stay."""
    assert image_key("./a\\b.JPG") == image_key("a/b") == "a/b"
    assert image_key("scan.1.2") == "scan.1.2"
