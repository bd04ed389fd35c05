"""HDF5 files that may be hostile."""

import os
import tracemalloc
import zlib

import h5py
import numpy as np
import pytest

from htltools.errors import DataError, MissingInput
from htltools.formats.models.checkpoint import CHECKPOINT_KIND, Checkpoint
from htltools.formats.rows.jsonlines import compact_json
from htltools.formats.rows.row import Row
from htltools.formats.store.checksummed_hdf5 import BLOCK, seal
from htltools.formats.store.safe_hdf5 import text_attributes
from htltools.formats.store.shard import Images, read_digests, read_shard, write_shard

ABOUT = {"architecture": {"task": "box", "name": "compact", "size": [32, 32, 3]}, "preprocessing": {"size": [32, 32, 3]}, "metrics": {}}
ABOUT |= {"pruning": None, "log": [], "history": [], "fold": None, "training": {}}


def bare(path, about=ABOUT):
    """A checkpoint without weights, to add hostile contents to: its open file."""
    file = h5py.File(path, "w", libver=("v110", "v110"), userblock_size=BLOCK)
    file.attrs.update(text_attributes(kind=CHECKPOINT_KIND), schema=1)
    for name, value in about.items():
        file[f"about/{name}"] = np.frombuffer(compact_json(value), np.uint8)
    return file


def sealed(path):
    """The file, with a checksum that holds."""
    with open(path, "r+b") as file:
        seal(file)
    return path


def refusal(path) -> str:
    """The error over a checkpoint, which is refused without allocating memory for it, though its checksum holds."""
    sealed(path)
    tracemalloc.start()
    with pytest.raises(DataError) as refused:
        Checkpoint.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**25, peak
    return str(refused.value)


def bomb(file, name, shape, dtype, packed):
    """A dataset of one gzipped chunk with these bytes in it, whatever it declares."""
    file.create_dataset(name, shape, dtype, chunks=shape, compression="gzip").id.write_direct_chunk((0,) * len(shape), packed)


@pytest.mark.parametrize("how", [{"chunks": (1024, 1024)}, {}, {"chunks": (1024, 1024), "compression": "gzip", "shuffle": True}], ids=str)
def test_declared_sizes(tmp_path, how):
    """Terabytes that are declared and not there are refused before anything is allocated, whatever the layout; so are megabytes."""
    for shape, reasons in (((2**20, 2**19), ["unpacks to 2048.0 GiB"]), ((4096, 4096), ["stored as htl does", "more than the file holds"])):
        path = tmp_path / f"{shape[0]}.h5"
        with bare(path) as file:
            file.create_dataset("weights/x", shape, "f4", **how)
        error = refusal(path)
        assert any(reason in error for reason in reasons), error


def test_bombs(tmp_path):
    """Ten gigabytes of gzipped zeros are refused before they are unpacked; so are many that are small alone."""
    packer = zlib.compressobj(9)
    zeros = b"".join(packer.compress(bytes(2**24)) for _ in range(160)) + packer.flush()  # 2.5 GiB in 2.6 MB
    for count, reason in ((1, "unpacks to 2.5 GiB"), (4, "unpacks to 10.0 GiB")):
        with bare(tmp_path / "a.h5") as file:
            for i in range(count):
                bomb(file, f"weights/{i}", (2684354560 // 4,), "f4", zeros)
        assert reason in refusal(tmp_path / "a.h5")
    with bare(tmp_path / "c.h5") as file:
        for i in range(6):
            file.create_dataset(f"weights/{i}", data=np.zeros(2**25, np.float32), chunks=(2**25,), compression="gzip", compression_opts=9)
    assert "unpacks to 0.8 GiB" in refusal(tmp_path / "c.h5")
    with bare(tmp_path / "d.h5") as file:
        bomb(file, "weights/x", (64,), "f4", zeros)  # a small tensor, whose chunk unpacks to 2.5 GiB
    assert Checkpoint.load(sealed(tmp_path / "d.h5")).weights["x"].tolist() == [0] * 64


def test_nothing_outside_of_the_file_is_read(tmp_path):
    """Links, virtual datasets and external data that mean other files bring in nothing."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"root:x:0:0" * 100)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["weights"] = np.ones(4, np.float32)
    with bare(tmp_path / "links.h5") as file:
        file["weights/soft"] = h5py.SoftLink("/about/log")
        file["weights/far"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "weights")
        file["weights/round"] = file["weights"]
    assert not Checkpoint.load(sealed(tmp_path / "links.h5")).weights
    with bare(tmp_path / "external.h5") as file:
        file.create_dataset("weights/x", (250,), "f4", external=[(str(secret), 0, 1000)])
    with bare(tmp_path / "virtual.h5") as file:
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "weights", (4,))
        file.create_virtual_dataset("weights/x", layout)
    for name in ("external", "virtual"):
        assert "does not lie in the file itself" in refusal(tmp_path / f"{name}.h5")


@pytest.mark.parametrize("name", ["rows", "images", "digests"])
def test_stores_read_nothing_outside_either(tmp_path, name):
    """A shard whose rows or images lie elsewhere is refused."""
    path, secret = tmp_path / "a.h5", tmp_path / "secret"
    secret.write_bytes(b"{}\n" * 64)
    write_shard(path, np.zeros((1, 8, 8, 3), np.uint8), None, [{"id": "a", "index": 0, "size": [8, 8]}], [], plan="p", history=[])
    rows = read_shard(path)[0]
    reading = {"rows": lambda: read_shard(path), "images": lambda: Images(rows), "digests": lambda: read_digests(path)}[name]
    with h5py.File(path, "r+") as file:
        shape = file[name].shape
        del file[name]
        file.create_dataset(name, shape, "u1", external=[(str(secret), 0, 192)])
    with pytest.raises(DataError, match="does not lie in the file itself"):
        reading()
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = h5py.ExternalLink("other.h5", name)
    with pytest.raises(DataError, match=f"it holds no {name} of its own"):
        reading()


@pytest.mark.parametrize(
    "value", ["a text of any length", np.arange(9), np.array([b"x"] * 3), 1.5, h5py.Empty("f4"), np.array((1, 2), "i4,i4")], ids=str
)
def test_wild_attributes(tmp_path, value):
    """An attribute that is no plain text or number is refused: others lie in a heap, which damaged makes HDF5 run for ever."""
    with bare(tmp_path / "a.h5") as file:
        file.attrs["kind"] = value
    assert "kind is no plain text or number" in refusal(tmp_path / "a.h5") or "is no htl checkpoint" in refusal(tmp_path / "a.h5")


@pytest.mark.parametrize("value", [["a", "b"], np.array([(1, 2.0)], "i4,f4"), np.array([b"x"])], ids=["texts", "pairs", "bytes"])
def test_wild_weights(tmp_path, value):
    """Weights that are no plain numbers are refused."""
    with bare(tmp_path / "a.h5") as file:
        file["weights/x"] = value
    assert "x holds no plain numbers" in refusal(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("architecture", {"size": [10**9, 10**9, 3]}, "architecture.size.0: input should be less than or equal to 8192"),
        ("architecture", {"size": [32, 32]}, "architecture.size: list should have at least 3 items"),
        ("architecture", {"name": ["x"]}, "architecture.name: input should be a valid string"),
        ("architecture", {"task": None}, "architecture.task: input should be a valid string"),
        ("architecture", {"size": [64, 64, 3]}, "its net and its images differ in size"),
        ("architecture", {"classes": 10**9}, "architecture.classes: input should be a valid list"),
        ("architecture", {"most": 10**9}, "architecture.most: input should be less than or equal to 100"),
        ("pruning", {"method": "l1"}, "pruning.recover: field required"),
        ("log", [{"val_iou": "\x1b[2J"}], "log.0.val_iou: input should be a valid number"),
        ("fold", {"k": 1}, "fold.k: field required"),
        ("history", {}, "history: input should be a valid list"),
    ],
)
def test_wild_descriptions(tmp_path, name, value, reason):
    """The description of a checkpoint is checked against the schema; the error names the field, and no value."""
    described = ABOUT["architecture"] | value if name == "architecture" else value
    with bare(tmp_path / "a.h5", ABOUT | {name: described}):
        pass
    error = refusal(tmp_path / "a.h5")
    assert error.startswith(f"{tmp_path}/a.h5 is damaged: ") and (reason in error or name == "fold")


def test_weights_that_are_no_numbers(tmp_path):
    """A checkpoint whose weights hold NaN is refused: it could predict nothing else."""
    with bare(tmp_path / "a.h5") as file:
        file["weights/x"] = np.array([1, np.nan], np.float32)
    assert "the weights x are not all numbers; train it again" in refusal(tmp_path / "a.h5")


def test_pipes_do_not_wait(tmp_path):
    """A name that is no regular file is not opened."""
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(MissingInput):
        Checkpoint.load(tmp_path / "pipe.h5")
    with pytest.raises(MissingInput):
        Images([Row(id="a", store=str(tmp_path / "pipe.h5"), index=0)])
