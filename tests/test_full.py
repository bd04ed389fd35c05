"""Full disks and folders that cannot be written: one line, an exit code, and nothing half-written under its final name."""

import os
import re
import resource
import shlex

import numpy as np
import pytest

from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.store.checksummed_hdf5 import check_hdf5_checksum
from htltools.formats.store.shard import write_shard


def limited(size, function):
    """Call a function in a fork whose files may have so many bytes at most, as on a full disk: its exit code, 74 for a StorageError."""
    from htltools.errors import HtlError

    child = os.fork()
    if child == 0:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            function()
            code = 0
        except HtlError as error:
            code = error.exit_code
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def save_shard(path):
    """Write a shard of a few KB."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), np.uint8)
    write_shard(path, noise, noise[..., 0], [{"id": f"r{i}"} for i in range(20)], [], plan="p", history=[])


def save_checkpoint(path):
    """Write a checkpoint of a few KB."""
    Checkpoint({"a": np.arange(900, dtype=np.float32), "b": np.eye(30, dtype=np.float32)}, {}, {}).save(path)


@pytest.mark.parametrize("save", [save_shard, save_checkpoint])
def test_a_disk_that_is_full_at_any_byte(save, tmp_path):
    """Wherever a disk fills up, writing fails with 74, not with a signal; what stood before stays, and nothing else is left."""
    path = tmp_path / "x.h5"
    save(path)
    before = path.read_bytes()
    for size in (0, 1, 100, 511, 512, 513, *range(700, len(before), 301), len(before) - 1):
        assert limited(size, lambda: save(path)) == 74, size
        assert [each.name for each in tmp_path.iterdir()] == ["x.h5"]
        assert path.read_bytes() == before
    assert limited(len(before), lambda: save(path)) == 0
    check_hdf5_checksum(path)


@pytest.fixture
def on_a_full_disk(pasted, tmp_path):
    """`on_a_full_disk(bytes, *arguments)` runs htl in a process of its own whose files may have so many bytes at most."""
    return lambda size, *args: pasted(shlex.join(["htl", *map(str, args)]), tmp_path, MOST_BYTES=str(size))


def test_prepare_on_a_full_disk(on_a_full_disk, tmp_path):
    """`prepare` on a full disk is 74 in one line; with room again it goes on, and the store is whole."""
    command = "prepare", "--phantom", 6, "--size", 16, "-j", 1, "-o", tmp_path / "s"
    done = on_a_full_disk(3000, *command)
    assert done.returncode == 74
    assert done.stderr.splitlines()[-1] == f"htl prepare: cannot write {tmp_path}/s/00000.h5 (File too large)"
    assert list((tmp_path / "s").iterdir()) == []
    assert on_a_full_disk(9999999, *command).returncode == 0
    check_hdf5_checksum(tmp_path / "s/00000.h5")


@pytest.mark.parametrize(
    "name, size, command",
    [
        pytest.param("m.onnx", 4000, ["export", "--model", "DENSE", "-o", "OUT"], marks=pytest.mark.slow),
        pytest.param("r.html", 4000, ["report", "SCORED", "-o", "OUT"], marks=pytest.mark.slow),
        ("s.png", 500, ["view", "SCORED", "--sheet", "OUT"]),
        ("c.json", 500, ["view", "SCORED", "--to", "coco:OUT"]),
        ("m.jsonl", 500, ["evaluate", "SCORED", "--model", "DENSE", "-o", "OUT"]),
        ("t.h5", 4000, ["train", "SCORED", "-o", "OUT", "--epochs", "1", "--batch-size", "16"]),
        ("p.h5", 4000, ["prune", "SCORED", "--model", "DENSE", "-o", "OUT", "--sparsity", "0.5", "--recover", "none"]),
    ],
)
def test_every_file_on_a_full_disk(on_a_full_disk, name, size, command, tmp_path, scored, dense):
    """Whatever a command writes, a full disk is 74 in the last line of stderr, and nothing lies under the final name, nor beside it."""
    places = {"DENSE": dense, "SCORED": scored, "OUT": tmp_path / name}
    done = on_a_full_disk(size, *(re.sub("[A-Z]{3,}", lambda match: str(places[match[0]]), each) for each in command))
    assert done.returncode == 74, done.stderr
    assert "Traceback" not in done.stderr
    assert "File too large" in done.stderr.splitlines()[-1]
    assert [each.name for each in tmp_path.iterdir() if not each.name.endswith((".lock", ".log.jsonl"))] == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_folders_that_may_only_be_read(tmp_path, htl):
    """A store in a folder that may only be read is read, and checked; to write there is 73, and says where."""
    save_shard(tmp_path / "00000.h5")
    tmp_path.chmod(0o555)
    try:
        assert htl("view", tmp_path)[0] == htl("view", "--check", tmp_path)[0] == 0
        code, _, err = htl("prepare", "--phantom", 3, "--size", 8, "-j", 1, "-o", tmp_path)
        assert code == 73 and err.startswith(f"htl prepare: cannot write beside {tmp_path} (permission denied")
    finally:
        tmp_path.chmod(0o755)
