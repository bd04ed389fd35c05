"""COCO JSON: boxes, outlines and labels by image."""

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
    ],
    "categories": [{"id": 7, "name": "nevus"}, {"id": 8, "name": "melanoma"}],
}
A, B = {"id": 1, "file_name": "a.png", "width": 100, "height": 80}, {"id": 2, "file_name": "b.png", "width": 100, "height": 80}


@pytest.fixture
def read(tmp_path):
    """Reads images and annotations as a file."""

    def reading(images, annotations, categories=({"id": 1, "name": "lesion"},)):
        path = tmp_path / "c.json"
        path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": list(categories)}))
        return read_coco(path)

    return reading


def of(image, bbox, **more):
    """An annotation."""
    return {"image_id": image, "bbox": bbox, "category_id": 1} | more


def reasons(annotations):
    """What was left out, and why."""
    return {each["id"]: each["reason"] for each in annotations.left_out}


def test_boxes_and_labels(read):
    """Boxes become corners, a single category the label; images without objects are known to hold none."""
    facts = read(*CONTENT.values()).facts
    assert facts["a.jpg"].boxes == [[10, 20, 40, 60], [0, 0, 5, 5.5]] and facts["a.jpg"].label == "nevus"
    assert facts["a.jpg"].frame == (200, 100) and facts["a.jpg"].labels == ["nevus", "nevus"]
    assert facts["sub/b.png"].label is None and facts["sub/b.png"].labels == ["nevus", "melanoma"] and facts["sub/b.png"].frame is None
    assert facts["c.png"].boxes == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images":[{"id":1}]}', '{"images":{},"annotations":[]}', "[" * 5000, '{"images":NaN}'])
def test_what_is_no_coco(tmp_path, text):
    """A file that is no COCO JSON is refused."""
    path = tmp_path / "coco.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"is no (COCO )?JSON"):
        read_coco(path)
    with pytest.raises(MissingInput):
        read_coco(tmp_path / "none.json")
    with pytest.raises(DataError, match="cannot be read"):
        read_coco(tmp_path)


def test_one_file_under_two_ids(read):
    """An image that is listed twice has the boxes of both ids, which is said."""
    one = read([A, A | {"id": 3}, B], [of(1, [20, 15, 40, 30]), of(3, [5, 5, 10, 10])])
    assert one.facts["a.png"].boxes == [[20, 15, 60, 45], [5, 5, 15, 15]] and one.facts["b.png"].boxes == []
    assert one.notes == ["1 images are listed several times, such as 'a.png': they have the objects of all entries"]
    assert read([A, A | {"id": 3}], [of(1, [20, 15, 40, 30])]).facts["a.png"].boxes == [[20, 15, 60, 45]]
    other = read([A, A | {"id": 3, "width": 200}], [of(1, [20, 15, 40, 30])])
    assert not other.facts and "declares its size as 100x80 and 200x80" in reasons(other)["a.png"]


def test_two_images_of_one_id(read):
    """Images that share an id are left out by name: nobody knows whose the boxes are. The rest is used."""
    one = read([A, B | {"id": 1}, B | {"id": 2, "file_name": "c.png"}], [of(1, [20, 15, 40, 30]), of(2, [20, 15, 40, 30])])
    assert one.facts.keys() == {"c.png"} and one.facts["c.png"].boxes == [[20, 15, 60, 45]]
    assert (
        sorted(reasons(one)) == ["a.png", "b.png"] and "2 images of" in reasons(one)["a.png"] and "share the id 1" in reasons(one)["a.png"]
    )


def test_what_cannot_be_used_is_left_out(read):
    """Orphans, missing keys, boxes without area and values of other kinds are named, one each, and the rest is used."""
    bad = [
        of(57, [1, 1, 9, 9], id=3), {"id": 4, "bbox": [1, 1, 9, 9]}, of(1, [0, 0, 0, 0], id=5, segmentation=[], area=0), of(1, None, id=6),
        of(1, [1, 2, 3], id=7), of(1, ["x", 2, 3, 4], id=8), of(1, {"a": 1}, id=9), "text", of(1, [1e12, 0, 1, 1], id=10), of(1, 7, id=11),
        of(1, [0, 0, 1, 1], id=12, segmentation=[[1, 2, 3, 4, 5, 6, 7]]), of(1, [0, 0, 1, 1], id=13, segmentation={"size": [1, 1]}),
    ]  # fmt: skip
    one = read([A, B, {"file_name": "d.png"}, {"id": 5}, 7], [of(1, [20, 15, 40, 30], id=1), *bad])
    assert one.facts["a.png"].boxes == [[20, 15, 60, 45]] and one.facts["b.png"].boxes == [] and one.facts.keys() == {"a.png", "b.png"}
    said = reasons(one)
    assert said["annotation 3"] == "its image 57 is none of the file" and said["annotation 4"] == "it has no image_id"
    assert said["annotation 5"] == "its box has no area" and said["annotation 6"] == "it has neither a box nor an outline"
    assert said["d.png"] == "it has no id" and said["image 4 of the list"] == "it has no file_name"
    assert len(one.left_out) == len(bad) + 3


def test_an_image_with_nothing_usable_is_not_annotated(read):
    """An image all of whose objects were left out does not pass for one without objects."""
    one = read([A, B], [of(1, None)]).facts
    assert one["a.png"].boxes is None and one["b.png"].boxes == []


def test_ids_as_text(read):
    """1 and "1" are one id, of images and of categories."""
    images = [A | {"id": "1"}, B]
    both = [of(1, [20, 15, 40, 30]), of("2", [20, 15, 40, 30], category_id="2")]
    facts = read(images, both, [{"id": 1, "name": "nevus"}, {"id": 2.0, "name": "mel"}]).facts
    assert [(facts[name].boxes, facts[name].label) for name in ("a.png", "b.png")] == [
        ([[20, 15, 60, 45]], "nevus"), ([[20, 15, 60, 45]], "mel"),
    ]  # fmt: skip


def test_crowds(read):
    """Crowd regions are not used; an image with nothing else is not annotated, and that is said."""
    one = read([A, B], [of(1, [1, 1, 9, 9], iscrowd=1), of(2, [1, 1, 9, 9], iscrowd=1), of(2, [20, 15, 40, 30])])
    assert one.facts["a.png"].boxes is None and one.facts["b.png"].boxes == [[20, 15, 60, 45]]
    assert "1 images hold nothing but crowd regions (iscrowd 1), such as 'a.png': they count as not annotated" in one.doubts[0]
    assert one.notes == ["1 crowd regions (iscrowd 1) beside other objects are not used"]


def test_an_object_twice(read):
    """The same box of the same class twice is one object, and counted."""
    one = read([A], [of(1, [20, 15, 40, 30]), of(1, [20, 15, 40, 30]), of(1, [20.0, 15, 40, 31])])
    assert len(one.facts["a.png"].boxes) == 2 and one.notes == ["1 objects are marked twice and count once"]


def test_shares(read):
    """Boxes that are all below 1 are shares of the image's sides, and that is doubted; pixels where the file declares the size."""
    images = [A, {"id": 2, "file_name": "b.png"}]
    one = read(images, [of(i, [0.2, 0.1875, 0.4, 0.375]) for i in (1, 2)])
    assert one.facts["a.png"].boxes == [[20, 15, 60, 45]] and not one.facts["a.png"].shares
    assert one.facts["b.png"].boxes == [pytest.approx([0.2, 0.1875, 0.6, 0.5625])] and one.facts["b.png"].shares
    assert one.doubts == ["all boxes are between 0 and 1: they are read as shares of the image's sides"]
    assert not read(images, [of(1, [0, 0, 1, 1]), of(2, [0, 0, 2, 1])]).doubts


def test_splits_and_groups(read):
    """Splits in other spellings and groups that are numbers are read, other words are doubted."""
    one = read([A | {"split": "Test", "group": 7}, B | {"split": "clinic A"}], [])
    assert (one.facts["a.png"].split, one.facts["a.png"].group, one.facts["b.png"].split) == ("test", "7", None)
    assert one.doubts == ["1 images have a split that is none of train, val and test: 'clinic A' (1)"]
    assert one.roles == {"groups": "key group", "splits": "key split"}
    twice = read([A | {"split": "train"}, A | {"id": 3, "split": "val"}], [])
    assert twice.doubts == ["1 images are described twice with another split, such as 'a.png': the first stands"]


def test_polygons_and_run_lengths(read):
    """Outlines are kept beside boxes, and give the box where there is none; images known to be empty have none."""
    triangle, runs = [[20, 15, 60, 15, 60, 45]], {"size": [80, 100], "counts": [100, 5, 7895]}
    one = read([A, B, A | {"id": 3, "file_name": "c.png"}], [of(1, None, segmentation=triangle), of(2, [1, 20, 1, 5], segmentation=runs)])
    assert one.facts["a.png"].boxes == [[20, 15, 60, 45]] and one.facts["a.png"].outlines == [triangle]
    assert one.facts["b.png"].outlines == [runs] and one.facts["c.png"].outlines == []
    assert read([B], [of(2, None, segmentation=runs)]).facts["b.png"].boxes == [[1, 20, 2, 25]]
    mixed = read([A], [of(1, [1, 1, 9, 9]), of(1, None, segmentation=triangle)])
    assert mixed.facts["a.png"].outlines is None and "they get no lesion mask" in mixed.notes[0]
    rectangle = read([A], [of(1, [20, 15, 40, 30], segmentation=[[20, 15, 60, 15, 60, 45, 20, 45]])])
    assert rectangle.facts["a.png"].outlines and rectangle.notes == [
        "all outlines are rectangles: the lesion masks hold no more than the boxes"
    ]


def test_work_grows_with_the_objects(read, calls):
    """Four times the objects of one image take four times the work; seconds: tests/benchmarks/tables_bench.py."""
    images = [A | {"width": 5000, "height": 5000}]

    def read_objects(count):
        annotations = [of(1, [i % 4000, i // 4000, 12, 12]) for i in range(count)]
        assert len(read(images, annotations).facts["a.png"].boxes) == count

    assert calls(read_objects, 8000) < 4.5 * calls(read_objects, 2000)
