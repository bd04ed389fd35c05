"""Facts of images from several tables and annotation files."""

from htltools.formats.sources.joined_facts import no_facts
from htltools.formats.sources.names import ImageNames
from htltools.formats.tables.facts import Annotations, Facts

IMAGES = ImageNames(["/s/a.png", "/s/x/b.png", "/s/y/b.png"], ["a.png", "x/b.png", "y/b.png"])


def joined(*files):
    """The facts of all files, added one after another, and what did not fit."""
    facts = no_facts(3)
    for number, file in enumerate(files):
        facts.add(Annotations(f"f{number}.csv", file), IMAGES, range(3))
    return facts


def test_names_of_one_image():
    """Several names of one image add up to its facts; a box that stands twice is one."""
    facts = joined(
        {"a.png": Facts(group="P1", boxes=[[0, 0, 1, 1]]), "a": Facts(split="val", boxes=[[0, 0, 1, 1], [2, 2, 3, 3]], meta={"k": 1})}
    )
    assert facts.facts[0] == Facts("P1", "val", boxes=[[0, 0, 1, 1], [2, 2, 3, 3]], meta={"k": 1}) and not facts.conflicts


def test_ambiguous_names():
    """A name that fits two images gives neither its facts, but for one that another name means."""
    facts = joined({"b.png": Facts(label="x"), "x/b.png": Facts(label="y"), "c.png": Facts()})
    assert [each.label for each in facts.facts] == [None, "y", None]
    assert facts.ambiguous == {2: "the name 'b.png' of f0.csv fits 2 images"}
    assert facts.unmatched == {"f0.csv": ["c.png", "b.png"]}


def test_two_files():
    """The first file's words stand, and a conflict is kept to be told; boxes of both are joined, with their classes."""
    facts = joined({"a": Facts(group="P1", label="x", boxes=[[0, 0, 1, 1]])}, {"a": Facts(group="P2", label="y", boxes=[[0, 0, 1, 1]])})
    (known, *_) = facts.facts
    assert (known.group, known.label, known.boxes, known.labels) == ("P1", "x", [[0, 0, 1, 1], [0, 0, 1, 1]], ["x", "y"])
    assert facts.conflicts == {"the group of f1.csv": [0], "the label of f1.csv": [0]}


def test_boxes_of_other_frames():
    """Boxes in another frame are not mixed with those before."""
    facts = joined({"a": Facts(boxes=[[0, 0, 1, 1]], frame=(10, 10))}, {"a": Facts(boxes=[[0, 0, 2, 2]], frame=(20, 20))})
    assert facts.facts[0].boxes == [[0, 0, 1, 1]] and facts.conflicts == {"the frame of f1.csv": [0]}


def test_annotations_over_tables():
    """Boxes of annotation files go before those of tables; what the table says else stays."""
    tables = joined({"a": Facts(group="P1", boxes=[[0, 0, 1, 1]], meta={"age": 3}), "x/b": Facts(boxes=[[5, 5, 6, 6]])})
    tables.overlay(joined({"a": Facts(label="nv", boxes=[], meta={"k": 1}), "x/b": Facts(boxes=None), "y/b": Facts(boxes=[[1, 1, 2, 2]])}))
    assert tables.facts[0] == Facts("P1", label="nv", boxes=[], meta={"age": 3, "k": 1})
    assert tables.facts[1].boxes == [[5, 5, 6, 6]] and tables.facts[2].boxes == [[1, 1, 2, 2]]


def test_outlines_stay_with_their_boxes():
    """Outlines are joined like boxes."""
    square = [[0, 0, 0, 1, 1, 1, 1, 0]]
    facts = joined({"a": Facts(outlines=[square])}, {"a": Facts(outlines=[square, square])})
    assert facts.facts[0].outlines == [square] * 3
