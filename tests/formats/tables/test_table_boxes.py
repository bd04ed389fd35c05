"""Boxes and lesions in tables: their formats, one cell, run lengths, frames, readers, and lines that say there is none."""

import numpy as np
import pytest

from htltools.errors import DataError
from htltools.formats.csv.run_lengths import mask_of_runs, runs_in
from htltools.formats.tables.csv_table import Columns, read_table


@pytest.fixture
def table(tmp_path):
    """Write a table and read it."""

    def read(text, **asked):
        (tmp_path / "t.csv").write_text(text)
        return read_table(tmp_path / "t.csv", Columns(**asked))

    return read


@pytest.mark.parametrize(
    ("names", "cells"),
    [
        ("x,y,width,height", "1,2,3,4"),
        ("X,Y,W,H", "1,2,3,4"),
        ("left,top,width,height", "1,2,3,4"),
        ("x_center,y_center,width,height", "2.5,4,3,4"),
        ("left,top,right,bottom", "1,2,4,6"),
        ("bbox_x_min,bbox_y_min,bbox_x_max,bbox_y_max", "1,2,4,6"),
    ],
)
def test_formats_by_name(table, names, cells):
    """The names of the columns say the format, recognised or named by --box-columns, with a class or without."""
    for asked in {}, {"boxes": [(None, names.split(","))]}, {"boxes": [("lesion", names.split(","))]}:
        assert table(f"id,{names}\na,{cells}\n", **asked).facts["a"].boxes == [[1, 2, 4, 6]]


@pytest.mark.parametrize(
    ("heading", "cell"),
    [
        ("bbox", '"[1.0, 2, 3, 4]"'),
        ("bbox", "1 2 3 4"),
        ("Bounding Box", '"(1, 2, 3, 4)"'),
        ("bbox_xyxy", '"[1, 2, 4, 6]"'),
        ("boxes", "\"[{'x': 1, 'y': 2.0, 'width': 3, 'height': 4}]\""),
        ("boxes", "\"[{'height': 4, 'width': 3, 'y': 2.0, 'x': 1}]\""),
        ("box", '"{""xmin"": 1, ""ymin"": 2, ""xmax"": 4, ""ymax"": 6}"'),
    ],
)
def test_boxes_in_one_cell(table, heading, cell):
    """A box in one cell, as a list or with keys; x, y, width, height where nothing says otherwise, which is noted."""
    annotations = table(f"id,{heading}\na,{cell}\nb,[]\nc,\n")
    assert annotations.facts["a"].boxes == [[1, 2, 4, 6]] and annotations.boxed
    assert annotations.facts["b"].boxes is annotations.facts["c"].boxes is None
    assert table(f"id,{heading}\na,{cell}\n", boxes=[(None, [heading])]).facts["a"].boxes == [[1, 2, 4, 6]]
    assert table('id,bbox\na,"[1,2,3,4,5,6,7,8]"\n').facts["a"].boxes == [[1, 2, 4, 6], [5, 6, 12, 14]]
    assert "is read as x, y, width, height" in table('id,bbox\na,"[1,2,3,4]"\n').notes[0]


@pytest.mark.parametrize("cell", ['"[1,2,3]"', "none of them", "\"{'a': 1, 'b': 2, 'c': 3, 'd': 4}\""])
def test_a_cell_without_a_box(table, cell):
    """A cell that holds something else is refused with its line."""
    with pytest.raises(DataError, match="line 2: the box .* (is not four numbers|has no x, y, width)"):
        table(f"id,bbox\na,{cell}\n")


def test_one_heading_for_four_columns(table):
    """The heading of NIH ChestX-ray14: Bbox [x,y,w,h], over four columns and three empty ones."""
    text = "Image Index,Finding Label,Bbox [x,y,w,h],,,\na.png,Mass,1,2,3,4,,,\na.png,Nodule,5,6,1,1,,,\n"
    for asked in {}, {"boxes": [(None, ["Bbox [x", "y", "w", "h]"])]}:
        facts = table(text, **asked).facts["a.png"]
        assert (facts.boxes, facts.labels) == ([[1, 2, 4, 6], [5, 6, 6, 7]], ["Mass", "Nodule"])


def test_the_frame_of_boxes(table):
    """width and height of a table are the frame of its boxes, unless these are the box itself, or most boxes are larger."""
    facts = table("id,x0,y0,x1,y1,width,height\na,1,2,4,6,600,450\nb,1,2,4,6,,\n").facts
    assert (facts["a"].frame, facts["b"].frame, facts["a"].meta) == ((600, 450), None, {})
    assert table("id,x,y,width,height\na,1,2,4,6\n").facts["a"].frame is None
    annotations = table("id,x0,y0,x1,y1,width,height\na,1,2,400,600,6,4\n")
    assert annotations.facts["a"].frame is None and "1 of 1 boxes are larger" in annotations.doubts[0]


def test_shares(table):
    """Boxes of which none is larger than 1 are shares of the image's sides, and that is noted."""
    annotations = table("id,x0,y0,x1,y1\na,.1,.2,.5,1.0\nb,0,0,1,1\n")
    assert annotations.facts["b"].shares and annotations.facts["a"].boxes == [[0.1, 0.2, 0.5, 1]]
    assert "read as shares" in annotations.notes[0]
    assert not table("id,x0,y0,x1,y1\na,.1,.2,.5,2.0\n").facts["a"].shares


def test_pixels_counted_from_one(table):
    """Boxes that begin at 1 and never at 0 are doubted; --box-format voc reads them."""
    text = "id,xmin,ymin,xmax,ymax\na,1,1,100,80\nb,5,6,7,8\n"
    assert "--box-format voc reads them so" in table(text).doubts[0]
    annotations = table(text, box_format="voc")
    assert annotations.facts["a"].boxes == [[0, 0, 100, 80]] and not annotations.doubts
    assert not table(text + "c,0,4,9,9\n").doubts


def test_boxes_in_one_corner_and_turned_boxes(table):
    """Boxes that all lie in one quarter of their images are doubted, and so are those that end before they begin."""
    lines = "".join(f"{k},{k},{k},{k + 20},{k + 15},600,450\n" for k in range(12))
    assert "upper left quarter" in table("id,x0,y0,x1,y1,width,height\n" + lines).doubts[0]
    assert "--box-format xywh" in table("id,a,b,c,d\na,50,60,10,20\n", boxes=[(None, list("abcd"))]).doubts[0]


EMPTY = [
    ("patientId,x,y,width,height,Target\na,,,,,0\nb,1,2,3,4,1\nc,,,,,1\n", {}),
    ("image_id,class_name,x0,y0,x1,y1\na,No finding,,,,\nb,Mass,1,2,4,6\nc,Mass,,,,\n", {}),
    ("image_id,class_id,x0,y0,x1,y1\na,14,,,,\nb,3,1,2,4,6\nc,3,,,,\n", {}),
    ("image_id,state,x0,y0,x1,y1\na,clean,,,,\nb,ill,1,2,4,6\nc,ill,,,,\n", {"empty_when": [("state", "Clean")]}),
]


@pytest.mark.parametrize(("text", "asked"), EMPTY)
def test_lines_that_say_there_is_none(table, text, asked):
    """Target 0, No finding and what --empty-when names: the image is known to hold no object; others without a box are not annotated."""
    annotations = table(text, id=text.split(",")[0], **asked)
    assert [own.boxes for own in annotations.facts.values()] == [[], [[1, 2, 4, 6]], None]
    assert "hold no object: 1" in annotations.notes[0]


def test_words_of_emptiness_beside_boxes(table):
    """A usual word that stands with boxes means something else; one of --empty-when that does is refused."""
    text = "id,target,x0,y0,x1,y1\na,0,,,,\nb,0,1,2,4,6\n"
    assert table(text).facts["a"].boxes is None
    with pytest.raises(DataError, match="line 3: target is 0, which --empty-when calls empty, and there is a box"):
        table(text, empty_when=[("target", "0")])
    with pytest.raises(DataError, match="has no column 'Target'"):
        table(text, empty_when=[("Target", "0")])


READ = """image_id,class_name,rad_id,x0,y0,x1,y1
a,Mass,R2,10,10,20,20
a,Mass,R1,10,10,20,22
a,Mass,R3,10,10,20,24
a,Nodule,R1,50,50,60,60
b,No finding,R1,,,,
b,No finding,R2,,,,
b,Mass,R3,1,1,5,5
"""


@pytest.mark.parametrize(
    ("rule", "a", "b"),
    [
        (None, [[10, 10, 20, 22], [50, 50, 60, 60]], [[1, 1, 5, 5]]),
        ("union", [[10, 10, 20, 22], [50, 50, 60, 60]], [[1, 1, 5, 5]]),
        ("majority", [[10, 10, 20, 22]], []),
        ("first", [[10, 10, 20, 22], [50, 50, 60, 60]], []),
    ],
)
def test_several_readers(table, rule, a, b):
    """Boxes of several readers that overlap by half are one; --readers keeps all objects, those of most readers, or of the first."""
    lines = READ.splitlines(keepends=True)
    for text in READ, "".join([lines[0], *lines[:0:-1]]):
        annotations = table(text, readers=rule)
        assert (annotations.facts["a"].boxes, annotations.facts["b"].boxes) == (a, b)
        said = annotations.notes if rule else annotations.doubts
        assert any("2 images (a, b)" in sentence and "have several readers (rad_id)" in sentence for sentence in said)


def test_run_lengths(table):
    """A column of run lengths gives outlines; -1 says that there is no lesion; what does not rise is not used."""
    annotations = table("ImageId,EncodedPixels\na,1215 40 1315 40\nb,-1\nc,\n")
    assert annotations.facts["a"].outlines == [{"runs": [1215, 40, 1315, 40]}] and annotations.facts["a"].boxes is None
    assert (annotations.facts["b"].boxes, annotations.facts["c"].boxes, annotations.boxed) == ([], None, True)
    assert annotations.roles["boxes"] == "column EncodedPixels (run lengths)"
    odd = table("ImageId,rle\na,5 2 9 2\n" + "b," + "1 20 " * 50_000 + "\n")
    assert not odd.boxed and odd.unused == ["rle"] and "is not used" in odd.doubts[0] and odd.facts["a"].meta == {}


def siim_runs(mask):
    """The runs of a mask [H, W] by the program of SIIM-ACR: down the columns, each start counted from the end of the run before."""
    runs, since, length = [], 0, 0
    for inside in mask.ravel("F").tolist():
        if inside:
            length += 1
        else:
            if length:
                runs += [since, length]
                since = length = 0
            since += 1
    return " ".join(map(str, runs))


@pytest.mark.parametrize("count", [1, 20])
def test_run_lengths_that_count_from_the_run_before(table, count):
    """Runs as SIIM-ACR has them give the mask that they were made from; that is said, and doubted where few cells show it."""
    mask = np.zeros((80, 100), bool)
    mask[15:45, 20:60] = mask[50:60, 30:35] = True
    lines = [f"a{i},{siim_runs(mask)}\n" for i in range(count)]
    made = table("ImageId, EncodedPixels\n" + "".join(lines) + "empty,-1\n")
    assert (mask_of_runs(made.facts["a0"].outlines[0]["runs"], (100, 80)) == mask).all() and made.facts["empty"].boxes == []
    said, silent = (made.doubts, made.notes) if count == 1 else (made.notes, made.doubts)
    assert "as SIIM-ACR has them" in said[0] and not silent


@pytest.mark.parametrize("order", ["C", "F"])
def test_masks_of_run_lengths(order):
    """Runs down the columns and along the rows give the mask that they were made from."""
    mask = np.zeros((80, 100), bool)
    mask[15:45, 20:60] = True
    flat = np.flatnonzero(np.diff(np.concatenate([[0], mask.ravel(order).astype(int), [0]])))
    runs = [number for start, end in flat.reshape(-1, 2).tolist() for number in (start + 1, end - start)]
    assert (mask_of_runs(runs_in(" ".join(map(str, runs))), (100, 80)) == mask).all()
    assert mask_of_runs([8000, 2], (100, 80)) is None
