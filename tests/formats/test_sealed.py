"""Seals, and the checksum of rows: `htl view --check`."""

import random

import numpy as np
import pytest

from htltools.errors import DataError
from htltools.formats.checkpoint import Checkpoint
from htltools.formats.jsonlines import joined_lines
from htltools.formats.sealed import BLOCK, check_seal
from htltools.formats.store import write_shard


def shard(folder):
    """A shard of twenty small pictures with masks, rows and a reason, in a store of its own."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), np.uint8)
    rows = [{"id": f"r{i}", "index": i, "size": [50, 60]} for i in range(20)]
    skips = [{"id": "x", "source": "x.png", "reason": "no box"}]
    write_shard(folder / "00000.h5", noise, noise[..., 0], rows, skips, plan="p", history=[{"run": "r"}])
    return folder / "00000.h5"


def checkpoint(folder):
    """A checkpoint of which one tensor is compressed."""
    weights = {"dense": np.arange(400, dtype=np.float32), "sparse": np.eye(30, dtype=np.float32), "empty": np.zeros((0, 3), np.float32)}
    Checkpoint(weights, {"name": "compact"}, {"size": [6, 5, 3]}).save(folder / "m.h5")
    return folder / "m.h5"


@pytest.fixture
def files(tmp_path, htl):
    """A shard in a store, a checkpoint and rows."""
    (tmp_path / "store").mkdir()
    plain = [{"id": f"r{i}", "split": "train", "meta": {"age": i}} for i in range(30)]
    (tmp_path / "rows.jsonl").write_bytes(htl("view", stdin=joined_lines(plain))[1])
    return shard(tmp_path / "store"), checkpoint(tmp_path), tmp_path / "rows.jsonl"


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
        f"htl view: {tmp_path}/m.h5: a sealed file, whole",
        f"htl view: {tmp_path}/rows.jsonl: 30 rows, whole",
    ]
    assert "stdin: 60 rows, whole" in htl("view", "--check", "-", stdin=files[2].read_bytes() * 2)[2]


@pytest.mark.parametrize("which", range(3))
def test_any_byte_flipped_is_refused(files, htl, which):
    """A bit flipped anywhere in a shard, a checkpoint or rows is refused: at the ends, around the seal, and at 100 sampled places."""
    path = files[which]
    whole = path.read_bytes()
    places = {0, 1, 11, 80, BLOCK - 1, BLOCK, len(whole) - 1, *random.Random(which).sample(range(len(whole)), 100)}
    for place in sorted(places):
        bad = bytearray(whole)
        bad[place] ^= 1 << place % 8
        path.write_bytes(bad)
        assert refused(htl, path, path.name), place


@pytest.mark.parametrize("which", range(3))
def test_any_cut_is_refused(files, htl, which):
    """A shard, a checkpoint or rows cut at any length are refused: empty, short of one byte, and at 60 sampled lengths."""
    path = files[which]
    whole = path.read_bytes()
    for length in {0, 1, BLOCK, len(whole) - 1, *random.Random(which).sample(range(len(whole)), 60)}:
        path.write_bytes(whole[:length])
        assert refused(htl, path, path.name), length


def test_a_store_is_bad_where_one_shard_is(files, htl, tmp_path):
    """The check of a store names the shard that is bad, and says where one is missing."""
    write_shard(tmp_path / "store/00000.h5", np.zeros((0, 6, 5, 3), np.uint8), None, [], [], plan="p", history=[], shards=2)
    assert htl("view", "--check", tmp_path / "store")[::2] == (
        65,
        f"htl view: {tmp_path}/store holds 1 of 2 shards; finish it with the same htl prepare, or take it with --partial\n",
    )
    assert htl("view", tmp_path / "store")[0] == 65
    assert htl("view", tmp_path / "store", "--partial")[0] == 0
    files[0].write_bytes(files[0].read_bytes()[:-1])
    assert refused(htl, tmp_path / "store", "00000.h5 is damaged")


def test_what_a_filter_left_is_not_what_was_written(files, htl):
    """Rows without one, out of order or without notes are good input, and no whole file."""
    lines = files[2].read_bytes().splitlines(keepends=True)
    for some in (lines[:3] + lines[4:], [lines[0], lines[2], lines[1], *lines[3:]], lines[1:-1]):
        assert htl("view", stdin=b"".join(some))[0] == 0
        code, _, err = htl("view", "--check", "-", stdin=b"".join(some))
        assert code == 65 and err.startswith("htl view: stdin, line ")


def test_other_files_carry_no_seal(tmp_path):
    """A file of something else is refused in words that fit it."""
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(600))
    with pytest.raises(
        DataError, match=r"a\.h5 carries no checksum of htl; it is damaged at its very beginning, or something else wrote it"
    ):
        check_seal(tmp_path / "a.h5")
