"""Rows as a folder for FiftyOne."""

import json

import numpy as np
import pytest
from PIL import Image

from htltools.errors import CannotCreate, DataError, StorageError
from htltools.formats.rows.row import Row
from htltools.formats.store.shard import shard_path, write_shard
from htltools.formats.tables.fiftyone_export import RESERVED, refuse_folder, samples_of, write_fiftyone

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 6, 8, 3)).astype(np.uint8)
ROWS = [Row(row) for row in (
    {"id": "../../a/b", "group": "P1", "split": "train", "size": [200, 100], "label": "nv", "boxes": [[10.0, 20.0, 40.0, 60.0]],
     "meta": {"age": 40, "sex": "male", "id": 7, "suspect": 3, "$x..y": 1, "_odd": True}, "hardness": {"suspect": 0.25, "pie": 1},
     "weight": 2.0, "predicted": {"dense": [0.0, 0.0, 100.0, 50.0]}, "mine": [1, 2], "file_name": "b.jpg"},
    {"id": "../../a/b", "repeat": 1, "size": [200, 100], "boxes": [[10, 20, 40, 60]]},
    {"id": "b", "split": "test", "size": [10, 10], "boxes": [], "meta": {"age": 41.5, "sex": None, "id": "x"}, "hardness": {"suspect": 1}},
    {"id": "c", "label": "mel", "meta": {"age": None, "id": 2**70}, "hardness": {"suspect": None}},
    {"id": "d", "size": [10, 10], "boxes": [[1, 1, 2, 2]], "pseudo": True},
    {"id": "e", "size": [10, 20], "boxes": [[0, 0, 5, 5], [5, 10, 10, 20]], "labels": ["nail", "spot"],
     "detected": {"dense": {"boxes": [[0, 0, 5, 10], [1, 2, 3, 4]], "scores": [0.75, 1], "labels": ["nail", "spot"]}}},
)]  # fmt: skip


def named(shares: list[float], label: str = "object", **more) -> dict:
    """A detection as FiftyOne reads it."""
    return {"_cls": "Detection", "label": label, "bounding_box": shares, **more}


@pytest.fixture
def rows(tmp_path):
    """The rows with a store of their images."""
    path = shard_path(tmp_path, 0)
    write_shard(path, IMAGES, None, [], [], plan="", history=[])
    return [row | {"store": str(path), "index": min(number, len(IMAGES) - 1)} for number, row in enumerate(ROWS)]


def test_samples():
    """Boxes are shares of the image, [left, top, width, height], by who or what drew them; hardness is floats; each field has one type."""
    first, b, c, d, e = samples_of([row for row in ROWS if "repeat" not in row])
    assert first == {
        "filepath": "data/0__a_b.png", "row_id": "../../a/b", "tags": ["train"], "group_id": "P1", "width": 200, "height": 100,
        "label": {"_cls": "Classification", "label": "nv"},
        "annotated": {"_cls": "Detections", "detections": [named([0.05, 0.2, 0.15, 0.4])]},
        "dense": {"_cls": "Detections", "detections": [named([0, 0, 0.5, 0.5])]},
        "suspect": 0.25, "pie": 1.0, "age": 40.0, "sex": "male", "meta_id": "7", "meta_suspect": 3, "meta_x_y": 1, "meta_odd": True,
        "weight": 2.0, "mine": "1 2", "file_name": "b.jpg",
    }  # fmt: skip
    assert all(isinstance(value, float) for value in (first["pie"], first["age"], b["suspect"]))
    assert (b["annotated"]["detections"], b["tags"], b["age"], b["meta_id"]) == ([], ["test"], 41.5, "x")
    assert set(c) == {"filepath", "row_id", "tags", "label", "meta_id"}
    assert c["meta_id"] == str(2**70)
    assert "annotated" not in d and d["pseudo"]["detections"] == [named([0.1, 0.1, 0.1, 0.1])]
    assert e["annotated"]["detections"] == [named([0, 0, 0.5, 0.25], "nail"), named([0.5, 0.5, 0.5, 0.5], "spot")]
    predicted = [named([0, 0, 0.5, 0.5], "nail", confidence=0.75), named([0.1, 0.1, 0.2, 0.1], "spot", confidence=1.0)]
    assert e["dense"]["detections"] == predicted


def test_boxes_need_a_size():
    """Boxes of an image of unknown size have no shares: the row is named."""
    with pytest.raises(DataError, match="the row 'a' has no size"):
        samples_of([Row(id="a", boxes=[[0, 0, 1, 1]])])


def test_folder(tmp_path, rows):
    """The folder holds each image once, as the store has it, and nothing outside of it, whatever an id says."""
    folder = tmp_path / "out"
    assert write_fiftyone(folder, rows, [{"command": "htl"}]) == 2
    content = json.loads((folder / "samples.json").read_bytes())
    assert sorted(tmp_path.iterdir()) == [shard_path(tmp_path, 0), folder]
    assert sorted(f"data/{path.name}" for path in (folder / "data").iterdir()) == [sample["filepath"] for sample in content["samples"]]
    kept = [row for row in rows if "repeat" not in row]
    for sample, row in zip(content["samples"], kept):
        assert (np.asarray(Image.open(folder / sample["filepath"])) == IMAGES[row["index"]]).all()
    about = json.loads((folder / "metadata.json").read_bytes())
    assert json.loads(about["info"]["history"]) == [{"command": "htl"}]
    assert "version" not in about, "a version would ask for all that FiftyOne's own database holds"


def test_what_is_there_stays(tmp_path, rows):
    """A folder of ours is replaced with force; one with any other file in it is not, and neither is a link to one of ours."""
    folder = tmp_path / "out"
    write_fiftyone(folder, rows, [])
    with pytest.raises(CannotCreate, match="out exists"):
        refuse_folder(folder, force=False)
    refuse_folder(folder, force=True)
    write_fiftyone(folder, rows[-1:], [], force=True)
    assert [path.name for path in (folder / "data").iterdir()] == ["0_e.png"]
    (tmp_path / "link").symlink_to(folder)
    (folder / "data" / "notes.txt").write_text("mine")
    for name in "out", "link", ".":
        with pytest.raises(CannotCreate, match="holds what htl did not write, and stays"):
            refuse_folder(tmp_path / name, force=True)
    (tmp_path / "empty").mkdir()
    refuse_folder(tmp_path / "empty", force=True)


def test_nothing_is_left_of_a_failure(tmp_path, rows, monkeypatch):
    """A folder appears whole or not at all, and another that is there stays."""
    write_fiftyone(tmp_path / "out", rows, [])

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(StorageError, match="No space left"):
        write_fiftyone(tmp_path / "out", rows[:1], [], force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [shard_path(tmp_path, 0).name, "out"]
    assert len(list((tmp_path / "out" / "data").iterdir())) == 5


@pytest.fixture
def fiftyone(monkeypatch, tmp_path):
    """FiftyOne on a database in memory: no server, and nothing of the user's own is touched."""
    mongomock = pytest.importorskip("mongomock", reason="pip install fiftyone mongomock")
    import pymongo
    from mongomock.store import ServerStore

    held = ServerStore()

    class Client(mongomock.MongoClient):
        _closed = False

        def __init__(self, *args, **kwargs):
            super().__init__(_store=held)

    monkeypatch.setattr(pymongo, "MongoClient", Client)
    settings = {"DATABASE_URI": "mongodb://localhost:1", "DATABASE_VALIDATION": "false", "DO_NOT_TRACK": "true"}
    for name, value in settings.items():
        monkeypatch.setenv(f"FIFTYONE_{name}", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    return pytest.importorskip("fiftyone", reason="pip install fiftyone mongomock")


def test_fiftyone_imports_it(fiftyone, tmp_path, rows):
    """FiftyOne itself reads the folder: hardness as float fields to sort by, boxes as detections, splits as tags, images as files."""
    rows[0]["meta"] |= {name: "mine" for name in sorted(RESERVED)}
    write_fiftyone(tmp_path / "out", rows, [{"a.b": "$"}])
    dataset = fiftyone.Dataset.from_dir(dataset_dir=str(tmp_path / "out"), dataset_type=fiftyone.types.FiftyOneDataset)
    schema = dataset.get_field_schema()
    kinds = {name: type(schema[name]).__name__ for name in ("suspect", "pie", "age", "sex", "weight", "row_id", "meta_id", "meta_filepath")}
    assert set(kinds.values()) == {"FloatField", "StringField"}
    assert [name for name, kind in kinds.items() if kind == "FloatField"] == ["suspect", "pie", "age", "weight"]
    assert [sample.row_id for sample in dataset.sort_by("suspect", reverse=True)][:2] == ["b", "../../a/b"]
    assert dataset.count_values("tags") == {"train": 1, "test": 1}
    first, *_, last = dataset
    assert first.annotated.detections[0].bounding_box == [0.05, 0.2, 0.15, 0.4]
    assert (first.label.label, first.meta_id, last.annotated.detections[1].label) == ("nv", "mine", "spot")
    assert [box.confidence for box in last.dense.detections] == [0.75, 1.0]
    dataset.compute_metadata()
    assert all((sample.metadata.width, sample.metadata.height) == (8, 6) for sample in dataset)
    assert json.loads(dataset.info["history"]) == [{"a.b": "$"}]
