"""Pascal VOC: corners, names and splits."""

import pytest

from htltools.errors import DataError
from htltools.formats.sources.names import ImageNames
from htltools.formats.tables.voc import read_voc

BOX = "<bndbox><xmin>21</xmin><ymin>16</ymin><xmax>60</xmax><ymax>45</ymax></bndbox>"
EDGES = BOX.replace("21", "20").replace("16", "15")


def xml(*objects, name="a.jpg", more=""):
    """An annotation of these boxes."""
    size = "<size><width>100</width><height>80</height></size>"
    inner = "".join(f"<object><name>lesion</name>{each}</object>" for each in objects)
    return f"<annotation><filename>{name}</filename>{size}{more}{inner}</annotation>"


@pytest.fixture
def read(tmp_path):
    """Reads annotations by the path of their file, of images by their paths."""

    def reading(files, *paths):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        folder = (tmp_path / next(iter(files))).parent
        images = ImageNames([str(tmp_path / path) for path in paths])
        made = read_voc(folder, sorted(folder.glob("*.xml")), images)
        return made, {paths[number]: made.facts[name] for number, (name, *_) in images.match(made.facts).names.items()}

    return reading


def test_the_layout_of_voc(read, tmp_path):
    """Beside JPEGImages/, corners are pixels from 1, the last included; ImageSets/ gives splits; a file without objects means none."""
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    (tmp_path / "ImageSets/Main/train.txt").write_text("a\n")
    (tmp_path / "ImageSets/Main/lesion_train.txt").write_text("a 1\nb -1\n")
    (tmp_path / "ImageSets/Main/val.txt").write_text("b\n")
    made, facts = read({"Annotations/a.xml": xml(BOX), "Annotations/b.xml": xml(name="b.jpg")}, "JPEGImages/a.jpg", "JPEGImages/b.jpg")
    first, second = facts.values()
    assert (first.boxes, first.frame, first.label, first.split) == ([[20, 15, 60, 45]], (100, 80), "lesion", "train")
    assert (second.boxes, second.split) == ([], "val")
    assert "pixels counted from 1, the last included" in made.notes[0] and made.roles["splits"] == "ImageSets"


@pytest.mark.parametrize("box", [EDGES, BOX.replace("21", "20.0").replace("16", "15.0"), EDGES + "<difficult>1</difficult>"])
def test_edges(read, box):
    """Of labelling tools, and where a corner is a decimal number, corners are edges."""
    made, facts = read({"labels/a.xml": xml(box)}, "images/a.jpg")
    assert facts["images/a.jpg"].boxes == [[20, 15, 60, 45]] and "edges counted from 0" in made.notes[0]


def test_a_corner_of_zero_is_an_edge(read):
    """Nothing counts from 1 where a corner is 0."""
    _, facts = read({"Annotations/a.xml": xml(EDGES, BOX.replace("21", "0"))}, "JPEGImages/a.jpg")
    assert facts["JPEGImages/a.jpg"].boxes == [[20, 15, 60, 45], [0, 16, 60, 45]]


def test_which_image(read):
    """The name of the file decides, then <filename>; where they are two images it is left out; beside images, its folder decides."""
    assert list(read({"A/a.xml": xml(EDGES, name="old.jpg")}, "i/a.jpg")[1]) == ["i/a.jpg"]
    assert list(read({"B/1.xml": xml(EDGES, name="a.jpg")}, "i/a.jpg")[1]) == ["i/a.jpg"]
    made, facts = read({"C/a.xml": xml(EDGES, name="b.jpg")}, "i/a.jpg", "i/b.jpg")
    assert not facts and "are those of two images" in made.left_out[0]["reason"]
    assert list(read({"train/a.xml": xml(EDGES)}, "valid/a.jpg", "train/a.jpg")[1]) == ["train/a.jpg"]


def test_what_cannot_be_used(read):
    """Damaged files, entities and boxes without numbers are left out by name; a folder without any annotation is refused."""
    bomb = '<!DOCTYPE a [<!ENTITY b "b">]><annotation>&b;</annotation>'
    files = {"A/a.xml": xml(EDGES, EDGES.replace("60", "x"), "<x/>"), "A/b.xml": "<annotation>", "A/c.xml": bomb, "A/d.xml": "<other/>"}
    made, facts = read(files, "i/a.jpg")
    assert facts["i/a.jpg"].boxes == [[20, 15, 60, 45]]
    assert [each["id"] for each in made.left_out] == ["b.xml", "c.xml", "object 2 of a.xml", "object 3 of a.xml"]
    assert "is no XML" in made.left_out[0]["reason"] and "EntitiesForbidden" in made.left_out[1]["reason"]
    with pytest.raises(DataError, match="holds no annotation of Pascal VOC"):
        read({"B/d.xml": "<other/>"}, "i/a.jpg")


def test_polygons(read):
    """The polygons of Roboflow are outlines."""
    polygon = "<polygon><x1>20</x1><y1>15</y1><x2>60</x2><y2>15</y2><x3>60</x3><y3>45</y3></polygon>"
    _, facts = read({"train/a.xml": xml(EDGES + polygon)}, "train/a.jpg")
    assert facts["train/a.jpg"].outlines == [[[20, 15, 60, 15, 60, 45]]]
