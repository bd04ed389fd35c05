"""Predictions as files of other programs."""

import json

import pytest

from htltools.errors import CannotCreate, DataError
from htltools.formats.predictions.boxes_csv import BoxesCsv
from htltools.formats.predictions.coco_results_export import CocoResults
from htltools.formats.predictions.output_folder import OutputFolder
from htltools.formats.predictions.yolo_labels import YoloLabels
from htltools.formats.rows.row import Row
from htltools.formats.tables.coco_results import read_results
from htltools.formats.tables.yolo import read_yolo

BOX = Row(id="a,1", file="d/a.png", size=[200, 100], predicted={"dense": [50.0, 25, 150, 75]}, hardness={"m": 0.25}, refer=True)
OBJECTS = {"boxes": [[0.0, 0, 50, 50], [100.0, 0, 200, 100]], "labels": ["x", "y"], "scores": [0.9, 0.4], "doubts": [0.1, 0.5]}
SEVERAL = Row(id="b", file="b.png", size=[200, 100], detected={"dense": OBJECTS}, hardness={"m": 0.3})
NOTHING = Row(id="c", size=[200, 100], detected={"dense": {"boxes": [], "labels": [], "scores": []}}, hardness={"m": 0.0})


def test_csv_has_a_line_for_each_box():
    """A line for each box with its own doubt, and one without edges for an image where nothing is found."""
    table = BoxesCsv("m", refer=True)
    assert (table.heading() + table.of([BOX, SEVERAL, NOTHING])).decode().split("\r\n") == [
        "id,file,x0,y0,x1,y1,label,score,doubt,refer",
        '"a,1",d/a.png,50.0,25,150,75,object,,0.25,true',
        "b,b.png,0.0,0,50,50,x,0.9,0.1,false",
        "b,b.png,100.0,0,200,100,y,0.4,0.5,false",
        "c,,,,,,,,0.0,false",
        "",
    ]


@pytest.mark.parametrize("rows", [[], [BOX], [BOX, SEVERAL, NOTHING]])
def test_coco_results_are_read_again(tmp_path, rows):
    """What is written is a list of results that htl itself reads; a box without a score has 1 - doubt."""
    with open(tmp_path / "r.json", "wb") as file:
        results = CocoResults(file, ["object", "x", "y"], "m")
        results.write(rows)
        results.close()
    content = json.loads((tmp_path / "r.json").read_text())
    assert len(content) == (0, 1, None, 3)[len(rows)]
    if rows:
        assert content[0] == {
            "image_id": "a,1", "file_name": "d/a.png", "category_id": 1, "category": "object", "bbox": [50, 25, 100, 50], "score": 0.75,
        }  # fmt: skip
        assert read_results(tmp_path / "r.json" if len(rows) == 1 else single(content, tmp_path))[0].box == [50, 25, 150, 75]


def single(content, folder):
    """The results of the first category alone, in a file."""
    (folder / "one.json").write_text(json.dumps(content[:1]))
    return folder / "one.json"


def test_yolo_labels_are_read_again(tmp_path):
    """Labels lie as YOLO and htl expect them; an image without a box has an empty file."""
    labels = YoloLabels(tmp_path / "y", ["x", "y"], force=False)
    for row in SEVERAL, NOTHING:
        labels.write(row)
    assert (tmp_path / "y/labels/b.txt").read_text() == "0 0.125000 0.250000 0.250000 0.500000\n1 0.750000 0.500000 0.500000 1.000000\n"
    assert (tmp_path / "y/labels/c.txt").read_text() == ""

    class Images:
        def candidates(self, name):
            return 1, [0]

    facts = read_yolo(tmp_path / "y", Images()).facts
    assert [each.labels for each in facts.values()] == [["x", "y"], None] or [each.labels for each in facts.values()] == [["x", "y"], []]


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "a\0b", "", "a\\b", "x" * 300])
def test_an_id_does_not_lead_out_of_the_folder(tmp_path, name):
    """Ids come from rows of strangers: none names a file outside of the folder."""
    with pytest.raises(DataError, match="cannot be the name of a file in"):
        OutputFolder(tmp_path / "o", ".png", force=False).path_of(name)


def test_a_folder_in_use_is_kept(tmp_path):
    """A folder that holds something is refused without --force, and its files stay with it."""
    (tmp_path / "note").write_text("mine")
    with pytest.raises(CannotCreate, match="holds something already; replace it with --force"):
        OutputFolder(tmp_path, ".png", force=False)
    assert OutputFolder(tmp_path, ".png", force=True).path_of("a/b.c") == tmp_path / "a" / "b.c.png"
    assert (tmp_path / "note").read_text() == "mine"
