"""Which annotation files a folder holds, and what they say."""

import json

import pytest

from htltools.errors import DataError, MissingInput
from htltools.formats.sources.annotation_files import annotations_in, read_annotations
from htltools.formats.sources.names import ImageNames

YOLO, BOX = "0 0.4 0.375 0.4 0.375\n", [[20, 15, 60, 45]]
VOC = (
    "<annotation><object><name>x</name><bndbox><xmin>20</xmin><ymin>15</ymin><xmax>60</xmax><ymax>45</ymax></bndbox></object></annotation>"
)
CVAT = '<annotations><image name="{}" width="100" height="80"><box label="x" xtl="20" ytl="15" xbr="60" ybr="45"/></image></annotations>'


def coco(*names, **more):
    """A COCO data set of images with one box each."""
    images = [{"id": i, "file_name": name, "width": 100, "height": 80} | more for i, name in enumerate(names)]
    annotations = [{"id": i, "image_id": i, "category_id": 1, "bbox": [20, 15, 40, 30]} for i in range(len(names))]
    return json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "x"}]})


def studio(name):
    """A Label Studio export of one image."""
    region = {"original_width": 100, "original_height": 80, "value": {"x": 20, "y": 18.75, "width": 40, "height": 37.5}}
    return json.dumps([{"data": {"image": name}, "annotations": [{"result": [region]}]}])


@pytest.fixture
def placed(tmp_path):
    """Writes files by name, and gives the images: the names that end as such."""

    def placing(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        names = [name for name in files if name.endswith((".jpg", ".png"))]
        return names, ImageNames([str(tmp_path / name) for name in names], names)

    return placing


def facts(annotations, names, images):
    """The facts of images by their name."""
    return {names[number]: annotations.facts[own[0]] for number, own in images.match(annotations.facts).names.items()}


@pytest.mark.parametrize(
    "files",
    [
        {"images/a.png": "", "anything.json": coco("a.png")}, {"images/a.png": "", "labels/a.txt": YOLO},
        {"images/a.png": "", "Annotations/a.xml": VOC}, {"images/a.png": "", "annotations.xml": CVAT.format("a.png")},
        {"images/a.png": "", "export.json": studio("/data/upload/1/a.png")}, {"a.png": "", "a.xml": VOC},
        {"a.png": "", "a.txt": YOLO, "classes.txt": "x"}, {"a.png": "", "a.txt": YOLO, "data.yaml": "names: [x]"},
    ],
)  # fmt: skip
def test_each_kind_is_known_by_its_content(placed, tmp_path, files):
    """A folder is read as what it holds, and so is each file or folder that is named itself."""
    names, images = placed(files)
    (one,) = annotations_in(tmp_path, images)
    (own,) = facts(one, names, images).values()
    assert own.boxes == BOX or (own.shares and own.boxes == [pytest.approx([0.2, 0.1875, 0.6, 0.5625])])
    assert one.boxed and not one.left_out
    path = tmp_path / next(name for name in reversed(files) if name not in names)
    for named in (path, tmp_path, path.parent):
        assert facts(read_annotations(named, images), names, images) == facts(one, names, images)


def test_roboflow(placed, tmp_path):
    """Each of train, valid and test has its own file: names are those of the images beside it, also where two are equal."""
    folders = ("train", "valid", "test")
    files = {f"{folder}/_annotations.coco.json": coco("a.jpg", f"{folder}.jpg") for folder in folders}
    names, images = placed({f"{folder}/{name}.jpg": "" for folder in folders for name in ("a", folder)} | files)
    found = annotations_in(tmp_path, images)
    assert [len(facts(one, names, images)) for one in found] == [2, 2, 2]
    together = facts(read_annotations(tmp_path, images), names, images)
    assert together.keys() == set(names) and all(own.boxes == BOX for own in together.values())
    one = facts(read_annotations(tmp_path / "valid/_annotations.coco.json", images), names, images)
    assert one.keys() == {"valid/a.jpg", "valid/valid.jpg"}


def test_splits_of_file_names(placed, tmp_path):
    """train.json and val.json are splits where nothing else says them; a single train.json is none."""
    names, images = placed({"a.png": "", "b.png": "", "instances_train.json": coco("a.png"), "instances_val.json": coco("b.png")})
    first, second = annotations_in(tmp_path, images)
    assert first.facts.popitem()[1].split == "train" and second.facts.popitem()[1].split == "val"
    (tmp_path / "instances_val.json").unlink()
    assert annotations_in(tmp_path, images)[0].facts.popitem()[1].split is None


def test_other_files_are_passed_over(placed, tmp_path):
    """Files of other kinds are no annotations of a folder, and refused where they are named."""
    others = {"a.json": '{"x": 1}', "b.json": "{", "c.xml": "<x/>", "d.xml": "<", "e.yaml": "a: [", "f.txt": "hello", "g.json": "[]"}
    _, images = placed({"images/a.png": "", "results.json": '[{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]'} | others)
    assert annotations_in(tmp_path, images) == []
    for name in (*others, "results.json", "images"):
        with pytest.raises(DataError):
            read_annotations(tmp_path / name, images)
    with pytest.raises(MissingInput):
        read_annotations(tmp_path / "none.json", images)


def test_two_files_of_one_image(placed, tmp_path):
    """A folder that is named, and whose files speak of one image, is refused: name one of them."""
    _, images = placed({"a.png": "", "x.json": coco("a.png"), "y.json": coco("a.png")})
    assert len(annotations_in(tmp_path, images)) == 2
    with pytest.raises(DataError, match="both speak of .*a.png"):
        read_annotations(tmp_path, images)


def test_a_damaged_file_among_others(placed, tmp_path):
    """A damaged XML file among those of Pascal VOC is left out by name."""
    _, images = placed({"a.png": "", "b.png": "", "a.xml": "<annotation>", "b.xml": VOC})
    (one,) = annotations_in(tmp_path, images)
    assert [each["id"] for each in one.left_out] == ["a.xml"] and len(one.facts) == 1
