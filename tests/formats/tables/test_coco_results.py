"""COCO results: the objects that another tool predicts."""

import json

import pytest

from htltools.errors import DataError, MissingInput
from htltools.formats.tables.coco_results import Result, is_json, read_data_set, read_results

RESULTS = [
    {"image_id": "sub/a.jpg", "category_id": 1, "bbox": [10, 20, 30, 40], "score": 0.5},
    {"image_id": "12", "category_id": "1", "bbox": [0, 0, 5.5, 5], "score": 1},
]


@pytest.fixture
def written(tmp_path):
    """Writes a value, or a text, to a JSON file."""

    def write(value, name="results.json"):
        path = tmp_path / name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    return write


def test_results(written):
    """Boxes become corners; names stay as they are written, and categories are text."""
    assert read_results(written(RESULTS)) == [Result("sub/a.jpg", [10, 20, 40, 60], "1", 0.5), Result("12", [0, 0, 5.5, 5], "1", 1)]
    assert read_results(written([])) == []


def test_images_by_number(written):
    """With a data set an image_id is the number of an image, also as text; unknown ones, shared ones and numbers without it are refused."""
    images = [
        {"id": 12, "file_name": "x/b.png"},
        {"id": "sub/a.jpg", "file_name": "a"},
        {"id": 3, "file_name": "c"},
        {"id": 3, "file_name": "d"},
    ]
    data_set = read_data_set(written({"images": images}, "set.json"))
    assert [result.image for result in read_results(written(RESULTS), data_set)] == ["a", "x/b.png"]
    for number, told in {7: "the image 7 is none of the data set; name the one", 3: "several images of .*set.json share the id 3"}.items():
        with pytest.raises(DataError, match=f"results.json: {told}"):
            read_results(written([RESULTS[0] | {"image_id": number}]), data_set)
    with pytest.raises(
        DataError, match="results.json: the image_id 12 is a number, and nothing says which image that is; name the data set"
    ):
        read_results(written([RESULTS[1] | {"image_id": 12}]))


def test_several_categories(written):
    """Without a data set that names them, predictions of several categories are refused and not merged."""
    both = [RESULTS[0], RESULTS[0] | {"category_id": 2}]
    with pytest.raises(DataError, match="has predictions of 2 categories, and nothing says which they are; name the data set"):
        read_results(written(both))
    data_set = read_data_set(
        written({"images": [{"id": "sub/a.jpg", "file_name": "a"}], "categories": [{"id": 1, "name": "nv"}]}, "set.json")
    )
    assert data_set.categories == {"1": "nv"} and [each.category for each in read_results(written(both), data_set)] == ["1", "2"]


@pytest.mark.parametrize(
    "content",
    [
        "", "{}", '{"images":[]}', "7", "[3]", '[{"image_id":1,"bbox":[1,2,3,4]}]', '[{"image_id":1,"bbox":[1,2,3],"score":1}]',
        '[{"image_id":1,"bbox":[1,2,3,NaN],"score":1}]', '[{"image_id":1,"bbox":[1,2,3,1e999],"score":1}]',
        '[{"image_id":1.5,"bbox":[1,2,3,4],"score":1}]', '[{"bbox":[1,2,3,4],"score":1}]', '[{"image_id":true,"bbox":[1,2,3,4],"score":1}]',
    ],
)  # fmt: skip
def test_what_are_no_results(written, content):
    """Anything else is refused in one line, annotations without a score above all: they would pass for perfect predictions."""
    with pytest.raises(DataError, match=r"results.json holds no COCO results .*; they are a list of \{image_id") as refused:
        read_results(written(content))
    assert "\n" not in str(refused.value)


def test_what_is_not_there(tmp_path, written):
    """Missing files have a code of their own; a data set without images is refused, entries without name are passed over."""
    for reading in (read_results, read_data_set):
        with pytest.raises(MissingInput):
            reading(tmp_path / "none.json")
    with pytest.raises(DataError, match="is no COCO JSON with images"):
        read_data_set(written([]))
    assert read_data_set(written({"images": [{"id": 1}, {"file_name": "a"}], "categories": [7, {"id": 1}]})).images == {}


def test_json_is_known_by_its_content(written, tmp_path):
    """A list or an object is JSON, also after blanks or a byte order mark; other files and missing ones are not."""
    assert is_json(written(" \n[]")) and is_json(written("\ufeff{}")) and not is_json(written("\x08\x07")) and not is_json(written(""))
    assert not is_json(tmp_path / "none") and not is_json(tmp_path)
