"""Checkpoints."""

import ast
from pathlib import Path

import h5py
import numpy as np
import pytest

import htltools
from htltools.core.nets.detection.detector import MOST
from htltools.errors import CannotCreate, DataError, MissingInput
from htltools.formats.models.checkpoint import Checkpoint, architecture_of
from htltools.formats.store.checksummed_hdf5 import seal
from htltools.formats.store.shard import write_shard


def checkpoint(weights=None):
    """A small checkpoint."""
    if weights is None:
        weights = {
            "net.0.weight": np.random.default_rng(0).normal(size=(8, 4, 3, 3)).astype(np.float32),
            "net.0.bias": np.zeros(8, np.float32),
            "net.1.num_batches_tracked": np.array(7),
            "empty": np.zeros((0, 3), np.float32),
        }
    return Checkpoint(
        weights,
        {"task": "box", "name": "compact", "size": [32, 32, 3]},
        {"size": [32, 32, 3]},
        {"val_iou": 0.5},
        None,
        [{"epoch": 1}],
        [{"run": "é"}],
        {"k": 1, "K": 5, "seed": 0},
    )


def test_round_trip(tmp_path):
    """A checkpoint is loaded as it was saved: every tensor with its bits, shape and type, and the entries beside the weights."""
    before = checkpoint()
    before.save(tmp_path / "m.h5")
    after = Checkpoint.load(tmp_path / "m.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["m.h5"]
    assert after.weights.keys() == before.weights.keys()
    for name, array in before.weights.items():
        assert after.weights[name].tobytes() == array.tobytes()
        assert (after.weights[name].shape, after.weights[name].dtype) == (array.shape, array.dtype)
    for name in Checkpoint.DESCRIPTION:
        assert getattr(after, name) == getattr(before, name)


def test_large_histories_fit(tmp_path):
    """A history longer than an HDF5 attribute can be is kept whole."""
    made = checkpoint()
    made.history = [{"run": str(i), "command": "x" * 1000} for i in range(200)]
    made.save(tmp_path / "m.h5")
    assert Checkpoint.load(tmp_path / "m.h5").history == made.history


def test_sparse_weights_are_stored_small(tmp_path):
    """A file of which 90 % of the weights are zero is at most 0.15 of its dense one, and loads to the same bits."""
    random = np.random.default_rng(0)
    dense = {f"layer{i}": random.normal(size=(128, 64, 3, 3)).astype(np.float32) for i in range(4)}
    sparse = {name: np.where(random.random(array.shape) < 0.9, np.float32(0), array) for name, array in dense.items()}
    for name, weights in {"dense": dense, "sparse": sparse}.items():
        checkpoint(weights).save(tmp_path / f"{name}.h5")
    size = {name: (tmp_path / f"{name}.h5").stat().st_size for name in ("dense", "sparse")}
    assert size["sparse"] <= 0.15 * size["dense"], size
    assert all((Checkpoint.load(tmp_path / "sparse.h5").weights[name] == sparse[name]).all() for name in sparse)


def sealed(path):
    """Give a file that was changed a checksum that holds."""
    with open(path, "r+b") as file:
        seal(file)


def test_missing_checkpoint(tmp_path):
    """A model that is not there, or is a folder, is named by its path."""
    for path in (tmp_path / "no.h5", tmp_path):
        with pytest.raises(MissingInput, match=f"{path} is not there"):
            Checkpoint.load(path)


def test_other_files_are_no_checkpoints(tmp_path):
    """A text file, another HDF5 file and a store are refused by name."""
    (tmp_path / "text.h5").write_text("not a checkpoint")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.arange(3)
    write_shard(tmp_path / "00000.h5", np.zeros((1, 4, 4, 3), np.uint8), None, [], [], plan="p", history=[])
    for name in ("text.h5", "other.h5", "00000.h5"):
        with pytest.raises(DataError, match=f"{name} is no htl checkpoint"):
            Checkpoint.load(tmp_path / name)


def test_cut_checkpoint(tmp_path):
    """A checkpoint that lost its end is refused wherever it was cut."""
    path = tmp_path / "m.h5"
    checkpoint().save(path)
    whole = path.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"m\.h5 is no htl checkpoint, or damaged" if not size else "its checksum does not hold"):
            Checkpoint.load(path)


@pytest.mark.parametrize("place", [0, 11, 100, 2000, -1])
def test_one_flipped_byte(tmp_path, place):
    """A checkpoint of which a single byte changed is refused, wherever that is."""
    path = tmp_path / "m.h5"
    checkpoint({"w": np.ones(1000, np.float32)}).save(path)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"m\.h5 (is damaged: its checksum does not hold|carries no checksum of htl)"):
        Checkpoint.load(path)


@pytest.mark.parametrize("value", [b"{", b"\xff", None])
def test_damaged_description(tmp_path, value):
    """A checkpoint whose description is broken or missing is refused, without a traceback."""
    checkpoint().save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        del file["about/architecture"]
        if value is not None:
            file["about/architecture"] = np.frombuffer(value, np.uint8)
    sealed(tmp_path / "m.h5")
    with pytest.raises(DataError, match=r"m\.h5 is .*damaged"):
        Checkpoint.load(tmp_path / "m.h5")


def test_newer_checkpoint(tmp_path):
    """A checkpoint of a later version of the format is refused with the remedy."""
    checkpoint().save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file.attrs["schema"] = 2
    sealed(tmp_path / "m.h5")
    with pytest.raises(DataError, match=r"was written by a newer htl; upgrade htl"):
        Checkpoint.load(tmp_path / "m.h5")


def test_nothing_is_left_of_a_failure(tmp_path):
    """A checkpoint that cannot be written leaves no file, and the one before it whole."""
    checkpoint().save(tmp_path / "m.h5")
    bad = checkpoint()
    bad.metrics = {"val_iou": float("nan")}
    with pytest.raises(DataError):
        bad.save(tmp_path / "m.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["m.h5"]
    assert Checkpoint.load(tmp_path / "m.h5").metrics == {"val_iou": 0.5}
    with pytest.raises(CannotCreate):
        checkpoint().save(tmp_path / "nowhere" / "m.h5")


def test_nothing_in_htl_unpickles():
    """No module imports pickle or a relative of it, and torch.load reads weights only: a hostile file cannot run code.

    Only what the nodes of a Ray cluster send each other, never a file, is pickled, as Ray itself does.
    """
    for path in Path(htltools.__file__).parent.rglob("*.py"):
        if path.name == "cluster.py":
            continue
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        calls = [
            node for node in nodes if isinstance(node, ast.Call) and any(ast.unparse(own) == "weights_only=True" for own in node.keywords)
        ]
        safe = {id(call.func) for call in calls}
        for node in nodes:
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {"pickle", "cPickle", "dill", "joblib", "shelve", "cloudpickle", "marshal"} & {n.split(".")[0] for n in imported}, (
                path
            )
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and id(node) not in safe:
                assert (node.value.id, node.attr) not in {("torch", "load"), ("torch", "save")}, path
            assert not (isinstance(node, ast.keyword) and node.arg == "allow_pickle"), path


def test_the_architecture_alone(tmp_path):
    """The architecture of a checkpoint is read without its weights; files without one are refused."""
    shape = {"task": "detect", "name": "compact_fcos", "size": [8, 8, 3], "classes": ["a"], "most": 10}
    Checkpoint({"w": np.zeros(3, np.float32)}, shape, {"size": [8, 8, 3]}).save(tmp_path / "m.h5")
    assert architecture_of(tmp_path / "m.h5") == shape
    with pytest.raises(MissingInput):
        architecture_of(tmp_path / "n.h5")
    (tmp_path / "n.h5").write_bytes(b"nothing")
    with pytest.raises(DataError, match="is no htl checkpoint"):
        architecture_of(tmp_path / "n.h5")


def test_a_net_may_have_as_many_objects_as_a_detector(tmp_path):
    """The limit of `most` in a checkpoint is that of the detectors."""
    made = Checkpoint(
        {}, {"task": "detect", "name": "compact_fcos", "size": [8, 8, 3], "classes": ["a"], "most": MOST}, {"size": [8, 8, 3]}
    )
    made.save(tmp_path / "m.h5")
    assert Checkpoint.load(tmp_path / "m.h5").architecture["most"] == MOST
    made.architecture["most"] = MOST + 1
    made.save(tmp_path / "m.h5")
    with pytest.raises(DataError, match=f"architecture.most: input should be less than or equal to {MOST}"):
        Checkpoint.load(tmp_path / "m.h5")
