"""YOLO data sets: classes, boxes, polygons and splits."""

import pytest

from htltools.errors import DataError, MissingInput
from htltools.formats.sources.names import ImageNames
from htltools.formats.tables.yolo import parsed_line, read_yolo

BOX = "0 0.4 0.375 0.4 0.375\n"


@pytest.fixture
def made(tmp_path):
    """Writes files by name, and gives the images of the names that end as images."""

    def making(**files):
        names = {name.replace("__", "/"): text for name, text in files.items()}
        for name, text in names.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return ImageNames([str(tmp_path / name) for name in names if name.endswith(".jpg")])

    def writing(files):
        return making(**files)

    return writing


def by_stem(annotations):
    """The facts by the last part of the name."""
    return {name.rpartition("/")[2]: facts for name, facts in annotations.facts.items()}


def test_a_data_set(made, tmp_path):
    """Boxes are shares, an empty file means no object, a missing one no annotation; classes and splits are those of data.yaml."""
    images = made({
        "data.yaml": "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: lesion\n",
        "images/train/a.jpg": "", "labels/train/a.txt": BOX,
        "images/train/b.jpg": "", "labels/train/b.txt": "", "images/val/a.jpg": "", "labels/val/a.txt": BOX + BOX, "images/val/c.jpg": "",
    })  # fmt: skip
    one = read_yolo(tmp_path, images)
    facts = {number: one.facts[name] for number, (name,) in images.match(one.facts).names.items()}
    assert facts.keys() == {0, 1, 2}
    assert facts[0].boxes == [pytest.approx([0.2, 0.1875, 0.6, 0.5625])] and facts[0].shares and facts[0].frame is None
    assert (facts[0].label, facts[0].labels, facts[0].split) == ("lesion", None, "train")
    assert facts[1].boxes == [] and len(facts[2].boxes) == 1 and facts[2].split == "val"
    assert one.notes == ["1 objects are marked twice and count once"] and one.roles["splits"].endswith("data.yaml")


def test_polygons_and_classes(made, tmp_path):
    """A polygon is an outline, and its extent a box; several classes are the classes of boxes. Names may be a list."""
    images = made({
        "train/images/a.jpg": "", "train/labels/a.txt": "0 0.2 0.1 0.6 0.1 0.6 0.5\n1 .1 .1 .2 .1 .2 .2 .1 .2\n",
        "valid/images/b.v1.jpg": "", "valid/labels/b.v1.txt": "1 .1 .1 .2 .1 .2 .2\n", 
        "data.yaml": "train: ../train/images\nval: ../valid/images\nnames: [nv, mel]",
    })  # fmt: skip
    one = by_stem(read_yolo(tmp_path, images))
    assert one["a"].labels == ["nv", "mel"] and one["a"].label is None and one["a"].boxes[0] == [0.2, 0.1, 0.6, 0.5]
    assert one["a"].outlines[0] == [[0.2, 0.1, 0.6, 0.1, 0.6, 0.5]] and one["b.v1"].label == "mel"
    assert (one["a"].split, one["b.v1"].split) == ("train", "val")


def test_files_beside_images(made, tmp_path):
    """With class names in a file, label files may lie beside images; lists of images are splits; other text files are passed over."""
    images = made({
        "obj.names": "nv\nmel\n", "d/a.jpg": "", "d/a.txt": BOX, "d/notes.txt": "hello", "train.txt": "d/a.jpg\n",
        "data.yaml": "train: train.txt\nval: val.txt\nnames: {0: nv}\n",
    })  # fmt: skip
    one = read_yolo(tmp_path, images)
    assert by_stem(one)["a"].split == "train" and len(one.facts) == 1 and by_stem(one)["a"].label == "nv"
    (tmp_path / "data.yaml").unlink()
    assert by_stem(read_yolo(tmp_path, images))["a"].label == "nv"


def test_lines_that_cannot_be_used(made, tmp_path):
    """They are left out by number with their reason; an image with nothing else is not annotated."""
    text = "x 1 2 3 4\n0 .1 .1 .1\n0 .4 .4 .1 .1 .9\n0 30 30 9 9\n0.5 .1 .1 .1 .1\n0 .1 .1 0 .1\n0 nan .1 .1 .1\n"
    images = made({"images/a.jpg": "", "labels/a.txt": text, "images/b.jpg": "", "labels/b.txt": BOX + "0 .1\n"})
    one = read_yolo(tmp_path, images)
    assert by_stem(one)["a"].boxes is None and len(by_stem(one)["b"].boxes) == 1
    reasons = {each["id"]: each["reason"] for each in one.left_out}
    assert len(reasons) == 8 and reasons["line 3 of labels/a.txt"] == "it has a sixth number: label files of predictions are no annotation"
    assert reasons["line 4 of labels/a.txt"] == "its numbers are no shares of the image's sides"


def test_key_points():
    """Of key points the box alone is used."""
    assert parsed_line(["0", ".5", ".5", "1", "1", ".1", ".1", "2"], keypoints=True) == (0, [0, 0, 1, 1], None)


def test_training_images_in_another_split(made, tmp_path):
    """An image that data.yaml names for training and validation gets neither, and that is said."""
    images = made({"data.yaml": "train: images\nval: images\nnames: [a]", "images/a.jpg": "", "labels/a.txt": BOX})
    one = read_yolo(tmp_path, images)
    assert by_stem(one)["a"].split is None and "1 images are both in train and in another split" in one.notes[0]


@pytest.mark.parametrize(
    "text", ["[", "a", "x: &a [*a, *a]\nnames: [*b]", "names: !!python/object:os.system []", "{" * 5000, "a: 2001-99-99"]
)
def test_bad_settings(made, tmp_path, text):
    """A data.yaml that is none is refused in one line, and runs nothing."""
    images = made({"data.yaml": text, "images/a.jpg": "", "labels/a.txt": BOX})
    with pytest.raises(DataError, match=r"data.yaml is no ") as refused:
        read_yolo(tmp_path, images)
    assert "\n" not in str(refused.value)
    with pytest.raises(MissingInput):
        read_yolo(tmp_path, images, tmp_path / "none.yaml")


def test_no_label_files(made, tmp_path):
    """A folder without label files is refused."""
    with pytest.raises(DataError, match="names no label file"):
        read_yolo(tmp_path, made({"data.yaml": "names: [a]", "a.jpg": ""}))
