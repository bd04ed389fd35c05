"""COCO JSON: boxes and labels by image."""

import json

import pytest

from htltools.errors import DataError, MissingInput
from htltools.formats.tables.coco import read_coco

CONTENT = {
    "images": [
        {"id": 1, "file_name": "a.jpg", "width": 200, "height": 100},
        {"id": 2, "file_name": "sub/b.png"},
        {"id": 3, "file_name": "c.png", "width": 10, "height": 10},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "bbox": [10, 20, 30, 40], "category_id": 7},
        {"id": 2, "image_id": 1, "bbox": [0, 0, 5, 5.5], "category_id": 7},
        {"id": 3, "image_id": 2, "bbox": [1, 1, 1, 1], "category_id": 7},
        {"id": 4, "image_id": 2, "bbox": [2, 2, 2, 2], "category_id": 8},
        {"id": 5, "image_id": 3, "bbox": [0, 0, 10, 10], "category_id": 8, "iscrowd": 1},
    ],
    "categories": [{"id": 7, "name": "nevus"}, {"id": 8, "name": "melanoma"}],
}


def test_boxes_and_labels(tmp_path):
    """Boxes become corners, a single category the label; images without objects are known to hold none; crowds do not count."""
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(CONTENT))
    facts = read_coco(path)
    assert facts["a"].boxes == [[10, 20, 40, 60], [0, 0, 5, 5.5]] and facts["a"].label == "nevus" and facts["a"].frame == (200, 100)
    assert facts["sub/b"].label is None and len(facts["sub/b"].boxes) == 2 and facts["sub/b"].frame is None
    assert facts["c"].boxes == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"images":[{"id":1}],"annotations":[]}', '{"images":[],"annotations":[{"image_id":9,"bbox":[1,2,3,4]}]}']
)
def test_what_is_no_coco(tmp_path, text):
    """A file that is no COCO JSON is refused."""
    path = tmp_path / "coco.json"
    path.write_text(text)
    with pytest.raises(DataError, match="is no COCO JSON of boxes"):
        read_coco(path)
    with pytest.raises(MissingInput):
        read_coco(tmp_path / "none.json")
