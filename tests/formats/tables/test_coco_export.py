"""Rows as a COCO data set."""

import json

from htltools.formats.rows.row import Row
from htltools.formats.tables.coco import read_coco
from htltools.formats.tables.coco_export import write_coco

ROWS = [Row(row) for row in (
    {"id": "sub/a", "group": "P1", "split": "train", "size": [200, 100], "label": "nv", "boxes": [[10.0, 20.0, 40.0, 60.0], [0, 0, 5, 5.5]],
     "meta": {"age": 40}, "hardness": {"pruned_disagreement": 0.25}, "weight": 2.0, "store": "s.h5", "index": 0},
    {"id": "sub/a", "repeat": 1, "size": [200, 100], "boxes": [[10, 20, 40, 60]]},
    {"id": "b", "size": [10, 10], "boxes": []},
    {"id": "c", "file_name": "c.jpg", "label": "mel"},
    {"id": "d", "size": [10, 10], "boxes": [[1, 1, 2, 2]], "pseudo": True},
    {"id": "e", "size": [10, 10], "boxes": [[1, 1, 3, 2]]},
)]  # fmt: skip


def test_what_others_read(tmp_path):
    """Images, annotations and categories are those of COCO; hardness and weight are keys of their image; a repeat is one image."""
    assert write_coco(tmp_path / "rows.json", ROWS) == 2
    content = json.loads((tmp_path / "rows.json").read_text())
    assert content["categories"] == [{"id": 1, "name": "nv"}, {"id": 2, "name": "object"}]
    assert [(image["id"], image["file_name"], image["annotated"]) for image in content["images"]] == [
        (1, "sub/a", True), (2, "b", True), (3, "c.jpg", False), (4, "d", False), (5, "e", True),
    ]  # fmt: skip
    first = content["images"][0]
    assert (first["width"], first["height"], first["hardness"], first["weight"]) == (200, 100, {"pruned_disagreement": 0.25}, 2.0)
    assert "store" not in first and "width" not in content["images"][2]
    assert content["annotations"] == [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40], "area": 1200, "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5.5], "area": 27.5, "iscrowd": 0},
        {"id": 3, "image_id": 5, "category_id": 2, "bbox": [1, 1, 2, 1], "area": 2, "iscrowd": 0},
    ]


def test_what_comes_back(tmp_path):
    """Group, split, label, meta and boxes are read again; no objects is not the same as no annotation, and a model's boxes are none."""
    write_coco(tmp_path / "rows.json", ROWS)
    facts = {name.removesuffix(".jpg"): own for name, own in read_coco(tmp_path / "rows.json").facts.items()}
    first = facts["sub/a"]
    assert (first.group, first.split, first.label, first.meta, first.frame) == ("P1", "train", "nv", {"age": 40}, (200, 100))
    assert first.boxes == ROWS[0]["boxes"] and first.labels is None
    classed = [row | {"labels": ["nv"] * len(row["boxes"])} if row.get("boxes") else row for row in ROWS]
    write_coco(tmp_path / "classed.json", [Row(row) for row in classed])
    assert read_coco(tmp_path / "classed.json").facts["e"].labels is None  # of one class
    classed[5]["labels"] = ["mel"]
    write_coco(tmp_path / "classed.json", [Row(row) for row in classed])
    assert read_coco(tmp_path / "classed.json").facts["sub/a"].labels == ["nv", "nv"]
    assert (facts["b"].boxes, facts["c"].boxes, facts["d"].boxes) == ([], None, None)
    assert (facts["c"].label, facts["b"].label, facts["e"].label) == ("mel", None, "object")
