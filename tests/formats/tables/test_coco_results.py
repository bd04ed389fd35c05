"""COCO results: the best box of each image."""

import json

import pytest

from htltools.errors import DataError, MissingInput
from htltools.formats.tables.coco_results import is_json, read_categories, read_images, read_objects, read_results, result_of

RESULTS = [
    {"image_id": "sub/a.jpg", "category_id": 1, "bbox": [10, 20, 30, 40], "score": 0.5},
    {"image_id": "sub/a.jpg", "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.75},
    {"image_id": "sub/a.jpg", "category_id": 1, "bbox": [9, 9, 9, 9], "score": 0.75},
    {"image_id": 12, "category_id": 1, "bbox": [0, 0, 5.5, 5], "score": 1},
]


@pytest.fixture
def written(tmp_path):
    """Writes a value, or a text, to a JSON file."""

    def write(value, name="results.json"):
        path = tmp_path / name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    return write


def test_the_best_box_counts(written):
    """Of several boxes the one of highest score stays, of equal scores the first, as corners, under the image's name without suffix."""
    assert read_results(written(RESULTS)) == {"sub/a": [1, 2, 4, 6], "12": [0, 0, 5.5, 5]}
    assert read_results(written([])) == {}


def test_images_by_number(written):
    """With a data set an image_id is the number of an image, and an unknown one is refused by name."""
    images = read_images(written({"images": [{"id": 12, "file_name": "x/b.png"}, {"id": "sub/a.jpg", "file_name": "a"}]}, "set.json"))
    assert read_results(written(RESULTS), images) == {"a": [1, 2, 4, 6], "x/b": [0, 0, 5.5, 5]}
    with pytest.raises(DataError, match="results.json: the image 12 is none of the data set; name the one that .* with --coco"):
        read_results(written(RESULTS[3:]), {"1": "a"})


def test_a_row_finds_its_box():
    """A row's box stands under its whole name, its bare name or its number; another row has none."""
    results = {"sub/a": [0, 0, 1, 1], "a": [0, 0, 2, 2], "139": [0, 0, 3, 3]}
    assert result_of(results, "sub/a") == [0, 0, 1, 1]
    assert result_of(results, "other/a.png") == [0, 0, 2, 2]
    assert result_of(results, "val/000139") == [0, 0, 3, 3]
    assert result_of(results, "b") is result_of({"12": [0, 0, 1, 1]}, "²") is None


@pytest.mark.parametrize(
    "content",
    [
        "", "{}", '{"images":[]}', "7", "[3]", '[{"image_id":1,"bbox":[1,2,3,4]}]', '[{"image_id":1,"bbox":[1,2,3],"score":1}]',
        '[{"image_id":1,"bbox":[1,2,3,NaN],"score":1}]', '[{"image_id":1,"bbox":[1,2,3,1e999],"score":1}]',
        '[{"image_id":1.5,"bbox":[1,2,3,4],"score":1}]', '[{"bbox":[1,2,3,4],"score":1}]',
    ],
)  # fmt: skip
def test_what_are_no_results(written, content):
    """Anything else is refused in one line, annotations without a score above all: they would pass for perfect predictions."""
    with pytest.raises(DataError, match=r"results.json holds no COCO results .*; they are a list of \{image_id") as refused:
        read_results(written(content))
    assert "\n" not in str(refused.value)


def test_what_is_not_there(tmp_path, written):
    """Missing files have a code of their own; a data set without images is refused."""
    with pytest.raises(MissingInput):
        read_results(tmp_path / "none.json")
    with pytest.raises(MissingInput):
        read_images(tmp_path / "none.json")
    with pytest.raises(DataError, match="is no COCO JSON with images"):
        read_images(written([]))


def test_json_is_known_by_its_content(written, tmp_path):
    """A list or an object is JSON, also after blanks or a byte order mark; other files and missing ones are not."""
    assert is_json(written(" \n[]")) and is_json(written("\ufeff{}")) and not is_json(written("\x08\x07")) and not is_json(written(""))
    assert not is_json(tmp_path / "none") and not is_json(tmp_path)


def test_all_objects_with_their_categories(tmp_path):
    """Every box counts, with the name of its category; an unknown category is an error, and without names there is but one."""
    results = [{"image_id": 1, "category_id": k, "bbox": [k, 0, 2, 3], "score": 0.5} for k in (1, 2)]
    path = tmp_path / "r.json"
    path.write_text(json.dumps(results))
    objects = read_objects(path, {"1": "a"}, {"1": "left", "2": "right"}, "")
    assert objects == {"a": [([1, 0, 3, 3], "left", 0.5), ([2, 0, 4, 3], "right", 0.5)]}
    assert [each[1] for each in read_objects(path, {"1": "a"}, None, "lung")["a"]] == ["lung", "lung"]
    with pytest.raises(DataError, match="the category 2 is none of 1 left"):
        read_objects(path, {"1": "a"}, {"1": "left"}, "")


def test_categories_of_a_data_set(tmp_path):
    """Names by id; a file without them is no data set."""
    path = tmp_path / "d.json"
    path.write_text('{"categories": [{"id": 3, "name": "lung"}]}')
    assert read_categories(path) == {"3": "lung"}
    path.write_text("[]")
    with pytest.raises(DataError, match="no COCO JSON with categories"):
        read_categories(path)
