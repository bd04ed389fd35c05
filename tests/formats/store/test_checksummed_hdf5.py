"""Checksums of HDF5 and ONNX files and of rows: `htl view --check`."""

import random

import numpy as np
import onnx
import pytest

from htltools.errors import DataError
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.models.onnx import write_metadata
from htltools.formats.rows.jsonlines import joined_lines
from htltools.formats.rows.provenance import Run
from htltools.formats.store.checksummed_hdf5 import BLOCK, check_hdf5_checksum
from htltools.formats.store.shard import write_shard
from htltools.formats.store.store import write_skips


def shard(folder):
    """A shard of twenty small images with masks, rows and a reason, in a store of its own."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), np.uint8)
    rows = [{"id": f"r{i}", "index": i, "size": [50, 60]} for i in range(20)]
    skips = [{"id": "x", "source": "x.png", "reason": "no box"}]
    write_shard(folder / "00000.h5", noise, noise[..., 0], rows, skips, plan="p", history=[{"run": "r"}])
    return folder / "00000.h5"


def checkpoint(folder):
    """A checkpoint of which one tensor is compressed."""
    weights = {"dense": np.arange(400, dtype=np.float32), "sparse": np.eye(30, dtype=np.float32), "empty": np.zeros((0, 3), np.float32)}
    Checkpoint(weights, {"task": "box", "name": "compact", "size": [6, 5, 3]}, {"size": [6, 5, 3]}).save(folder / "m.h5")
    return folder / "m.h5"


def exported(folder):
    """An ONNX file with its metadata."""
    images, boxes = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, ["N", 4]) for name in ("images", "boxes"))
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["images"], ["boxes"])], "g", [images], [boxes])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9), folder / "m.onnx")
    write_metadata(folder / "m.onnx", {"htl.history": "x" * BLOCK})
    return folder / "m.onnx"


@pytest.fixture
def files(tmp_path, htl):
    """A shard in a store, a checkpoint, rows, the list of skipped samples, and an ONNX file."""
    (tmp_path / "store").mkdir()
    plain = [{"id": f"r{i}", "split": "train", "meta": {"age": i}} for i in range(30)]
    (tmp_path / "rows.jsonl").write_bytes(htl("view", stdin=joined_lines(plain))[1])
    skips = [{"id": f"x{i}", "source": "x.png", "reason": "no box"} for i in range(9)]
    listed = write_skips(Run("prepare", {}), tmp_path / "store", skips)
    return shard(tmp_path / "store"), checkpoint(tmp_path), tmp_path / "rows.jsonl", listed, exported(tmp_path)


def refused(htl, path, name):
    """Whether `view --check` refuses a file with 65, in one line that names it."""
    code, out, err = htl("view", "--check", path)
    return (code, out) == (65, b"") and name in err and err.count("\n") == 1


def test_whole_files_pass(files, htl, tmp_path):
    """Stores, checkpoints and rows as htl wrote them pass, several at once, and each is named; so do rows that were joined."""
    code, out, err = htl("view", "--check", tmp_path / "store", *files[1:])
    assert (code, out) == (0, b"")
    assert err.splitlines() == [
        f"htl view: {tmp_path}/store: 1 shards of 20 samples, whole",
        f"htl view: {tmp_path}/m.h5: an HDF5 file, whole",
        f"htl view: {tmp_path}/rows.jsonl: 30 rows, whole",
        f"htl view: {tmp_path}/store/skips.jsonl: 9 rows, whole",
        f"htl view: {tmp_path}/m.onnx: an ONNX file, whole",
    ]
    assert "stdin: 60 rows, whole" in htl("view", "--check", "-", stdin=files[2].read_bytes() * 2)[2]


@pytest.mark.parametrize("which", range(5))
def test_any_byte_flipped_is_refused(files, htl, which):
    """A bit flipped anywhere in any of the files is refused: at the ends, around the checksum, and at 100 sampled places."""
    path = files[which]
    whole = path.read_bytes()
    places = {
        0,
        1,
        11,
        80,
        BLOCK - 1,
        BLOCK,
        len(whole) - 1,
        *random.Random(which).sample(range(len(whole)), 100),
        *range(0, len(whole), 7)[: 300 * (which > 2)],
    }
    for place in sorted(places):
        bad = bytearray(whole)
        bad[place] ^= 1 << place % 8
        path.write_bytes(bad)
        assert refused(htl, path, path.name), place


@pytest.mark.parametrize("which", range(5))
def test_any_cut_is_refused(files, htl, which):
    """A file cut at any length is refused: empty, short of one byte, and at 60 sampled lengths."""
    path = files[which]
    whole = path.read_bytes()
    for length in {0, 1, BLOCK, len(whole) - 1, *random.Random(which).sample(range(len(whole)), 60)} - {len(whole)}:
        path.write_bytes(whole[:length])
        assert refused(htl, path, path.name), length


def test_a_store_is_bad_where_one_shard_is(files, htl, tmp_path):
    """The check of a store names the shard that is bad, or missing."""
    write_shard(tmp_path / "store/00000.h5", np.zeros((0, 6, 5, 3), np.uint8), None, [], [], plan="p", history=[], shards=2)
    assert htl("view", "--check", tmp_path / "store")[::2] == (
        65,
        f"htl view: {tmp_path}/store holds 1 of 2 shards; finish it with the same htl prepare, or take it with --partial\n",
    )
    assert htl("view", tmp_path / "store")[0] == 65
    assert htl("view", tmp_path / "store", "--partial")[0] == 0
    files[0].write_bytes(files[0].read_bytes()[:-1])
    assert refused(htl, tmp_path / "store", "00000.h5 is damaged")


def test_a_store_is_bad_where_its_list_is(files, htl, tmp_path):
    """The check of a store includes the list of skipped samples, where there is one."""
    whole = files[3].read_bytes()
    for bad in (whole[:-9], whole.replace(b"x3", b"x4"), b"".join(whole.splitlines(keepends=True)[1:]), b""):
        files[3].write_bytes(bad)
        assert refused(htl, tmp_path / "store", "skips.jsonl")
    files[3].unlink()
    assert htl("view", "--check", tmp_path / "store")[0] == 0


def test_what_a_filter_left_is_not_what_was_written(files, htl):
    """Rows without one, out of order or without notes are good input, and no whole file."""
    lines = files[2].read_bytes().splitlines(keepends=True)
    for some in (lines[:3] + lines[4:], [lines[0], lines[2], lines[1], *lines[3:]], lines[1:-1]):
        assert htl("view", stdin=b"".join(some))[0] == 0
        code, _, err = htl("view", "--check", "-", stdin=b"".join(some))
        assert code == 65 and err.startswith("htl view: stdin, line ")


def test_other_files_carry_no_checksum(tmp_path):
    """A file of something else is refused in words that fit it."""
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(600))
    with pytest.raises(
        DataError, match=r"a\.h5 carries no checksum of htl; it is damaged at its very beginning, or something else wrote it"
    ):
        check_hdf5_checksum(tmp_path / "a.h5")
