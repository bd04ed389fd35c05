"""Sources, rows, stores and models in object storage, on a real server of the S3 protocol."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from htltools.errors import DataError, DeviceMissing, StorageError, UsageError
from htltools.formats.remote import address, cache
from htltools.formats.remote import server as remote


def rows_of(out: bytes) -> list[dict]:
    """The rows of a stream."""
    return [row for row in map(json.loads, out.splitlines()) if "htl" not in row]


def without(rows: list[dict], *names: str) -> list[dict]:
    """Rows without some of their fields."""
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


def test_a_folder_of_images(forget, htl, storage, tmp_path, save_image):
    """`prepare s3://bucket/folder` finds images, masks and tables as in a local folder, and rows name the address that they are from."""
    for name in "abc":
        save_image(tmp_path / "ham" / "images" / f"{name}.png")
        mask = np.zeros((20, 40), np.uint8)
        mask[5:15, 10:30] = 255
        save_image(tmp_path / "ham" / "masks" / f"{name}.png", mask)
    (tmp_path / "ham" / "metadata.csv").write_text("image_id,lesion_id,age\na,l1,30\nb,l2,40\nc,l3,50\n")
    storage.put(str(tmp_path / "ham"), "htl/sets/ham", recursive=True)
    code, local, _ = htl("prepare", tmp_path / "ham", "-o", tmp_path / "local")
    assert code == 0
    for source in ("s3://htl/sets/ham", "s3://htl/sets/ham/images/"):
        code, out, err = htl("prepare", source, "-o", tmp_path / source.strip("/").rpartition("/")[2])
        assert code == 0, err
        rows = rows_of(out)
        moved = "store", "source_folder", "mask_files"
        assert without(rows, "file", *moved) == without(rows_of(local), "file", *moved)
        assert [row["boxes"] for row in rows] == [[[10.0, 5.0, 30.0, 15.0]]] * 3
        assert [row["meta"]["age"] for row in rows] == [30, 40, 50]
        assert {row["source_folder"] for row in rows} == {source.rstrip("/")}
        forget()
    storage.rm("htl/sets/ham/masks/b.png")
    storage.rm("htl/sets/ham/images/b.png")
    code, out, _ = htl("prepare", "s3://htl/sets/ham", "-o", tmp_path / "fewer")
    assert [row["id"] for row in rows_of(out)] == ["a", "c"]


def test_a_store(htl, storage, fixed, tmp_path):
    """The rows of a store in object storage name its address, and every command reads images and models from there."""
    storage.put(str(fixed.folder / "00000.h5"), "htl/store/00000.h5")
    storage.put(str(fixed.half), "htl/models/half.h5")
    code, out, _ = htl("view", "s3://htl/store")
    rows = rows_of(out)
    assert code == 0
    assert {row["store"] for row in rows} == {"s3://htl/store/00000.h5"}
    assert without(rows, "store") == without(fixed.rows, "store")
    (tmp_path / "rows.jsonl").write_bytes(out)
    storage.put(str(tmp_path / "rows.jsonl"), "htl/rows.jsonl")
    measured = htl("evaluate", fixed.file, "--model", fixed.half)[1]
    for source in ("s3://htl/store", tmp_path / "rows.jsonl", "s3://htl/rows.jsonl"):
        code, out, err = htl("evaluate", source, "--model", "s3://htl/models/half.h5")
        assert (code, out) == (0, measured), err
        assert str(tmp_path / "cache") not in err
    code, out, err = htl("predict", "s3://htl/rows.jsonl", "--model", "s3://htl/models/half.h5")
    assert code == 0, err
    model = next(note for note in map(json.loads, out.splitlines()) if note.get("htl") == "model")
    assert model["path"] == "s3://htl/models/half.h5"
    assert str(tmp_path / "cache").encode() not in out
    assert htl("view", "--check", "s3://htl/store")[0] == 0
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0  # images of patients


@pytest.mark.parametrize(
    ("args", "variables", "code", "message"),
    [
        (["view", "s3://htl/none"], {}, 66, "s3://htl/none is not there"),
        (["view", "s3://nobucket/rows.jsonl"], {}, 66, "the bucket s3://nobucket is not there"),
        (["view", "s3://htl/x"], {"AWS_SECRET_ACCESS_KEY": "wrong"}, 66, "s3://htl/x may not be read"),
        (["view", "s3://htl/x"], {"AWS_ACCESS_KEY_ID": "nobody"}, 66, "check the keys: AWS_ACCESS_KEY_ID"),
        (["view", "s3://htl/x"], {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, 75, "the connection failed 3 times"),
        (["view", "s3://htl/x"], {"HTL_CACHE_SIZE": "much"}, 66, "s3://htl/x is not there"),
        (["train", "s3://htl/x", "-o", "s3://htl/m.h5"], {}, 2, "--out takes a local path, not an address"),
    ],
)
def test_failures(htl, storage, monkeypatch, args, variables, code, message):
    """What is not there, wrong keys and a server that does not answer are told in one line, each with its code."""
    monkeypatch.setattr(remote, "PAUSES", (0.0, 0.0))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    got, out, err = htl(*args)
    assert (got, out) == (code, b"")
    assert message in err
    assert err.count("\n") == 1


def test_a_missing_extra(forget, htl, monkeypatch):
    """Where the extra is not installed, htl says how to get it."""
    forget()
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    code, _, err = htl("view", "gs://bucket/rows.jsonl")
    assert code == 69
    assert err == "htl view: gs:// needs gcsfs, which is not installed; pip install 'htltools[cloud]'\n"


def test_a_connection_that_is_cut(forget, htl, storage, line, fixed, tmp_path):
    """A file is whole also where the connection was cut on the way; where it is cut each time, nothing is kept, and the code is 75."""
    storage.put(str(fixed.folder / "00000.h5"), "htl/cut/00000.h5")
    line.cuts, line.after = 2, 9000
    code, out, err = htl("view", "s3://htl/cut/00000.h5", "--check")
    assert code == 0, err
    forget()
    line.cuts = 10**6
    for path in (tmp_path / "cache" / "data").rglob("*.h5"):
        path.unlink()
    code, _, err = htl("view", "s3://htl/cut/00000.h5", "--check")
    assert code == 75
    assert "run the command again" in err
    assert err.count("\n") == 1
    assert not [*(tmp_path / "cache" / "data").rglob("*.h5"), *(tmp_path / "cache" / "halves").iterdir()]


def test_processes_share_a_copy(storage, line, fixed):
    """Two processes that want the same file at the same time fetch it once."""
    storage.pipe_file("htl/shared/large", bytes(3_000_000))
    ask = [sys.executable, "-c", "from htltools.formats.remote.cache import local_path; print(local_path('s3://htl/shared/large'))"]
    both = [subprocess.Popen(ask, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) for _ in range(2)]
    told = {process.communicate()[0] for process in both}
    assert len(told) == 1
    assert Path(told.pop().decode().strip()).stat().st_size == 3_000_000
    assert 3_000_000 < line.received < 4_000_000


def test_a_damaged_shard(htl, storage, fixed, tmp_path):
    """A shard whose checksum does not hold is refused by its address, and not kept."""
    data = bytearray((fixed.folder / "00000.h5").read_bytes())
    data[-1] ^= 1
    storage.pipe_file("htl/damaged/00000.h5", bytes(data))
    code, _, err = htl("view", "s3://htl/damaged")
    assert code == 65
    assert "s3://htl/damaged/00000.h5 is damaged" in err
    assert not list((tmp_path / "cache" / "data").rglob("*.h5"))


def test_shards_are_fetched_ahead(storage, fixed):
    """Whoever reads a shard finds the next ones in the cache."""
    from htltools.formats.store.shard import open_shard

    for number in range(3):
        storage.put(str(fixed.folder / "00000.h5"), f"htl/ahead/0000{number}.h5")
    with open_shard(Path("s3://htl/ahead/00000.h5")):
        pass
    for thread in list(cache.ahead.values()):
        thread.join(60)
    assert sorted(cache.known) == [f"s3://htl/ahead/0000{number}.h5" for number in range(3)]


def test_another_version(forget, storage):
    """A changed object takes the place of its old copy, which stays whole for who has it open."""
    storage.pipe_file("htl/versions/rows", b"old")
    with open(cache.local_path("s3://htl/versions/rows"), "rb") as old:
        storage.pipe_file("htl/versions/rows", b"new, and longer")
        assert cache.local_path("s3://htl/versions/rows").read_bytes() == b"old"  # within a process nothing changes
        forget()
        assert cache.local_path("s3://htl/versions/rows").read_bytes() == b"new, and longer"
        assert old.read() == b"old"


def test_the_cache_is_bounded(storage, monkeypatch, tmp_path):
    """Files that no process uses make room for others, the oldest first; what running ones use stays, and then the cache is full."""
    monkeypatch.setenv("HTL_CACHE_SIZE", "3100")
    for name in "abcd":
        storage.pipe_file(f"htl/bounded/{name}", bytes(1000))
    ask = (
        "import sys; from htltools.formats.remote.cache import local_path; [local_path(f's3://htl/bounded/{name}') for name in sys.argv[1]]"
    )
    run = [sys.executable, "-c", ask]
    assert subprocess.run([*run, "abc"], cwd=Path(__file__).parents[3]).returncode == 0
    kept = tmp_path / "cache" / "data" / "s3" / "htl" / "bounded"
    cache.local_path("s3://htl/bounded/d")
    assert sorted(path.name for path in kept.iterdir()) == ["b", "c", "d"]
    cache.local_path("s3://htl/bounded/b")
    cache.local_path("s3://htl/bounded/a")
    assert sorted(path.name for path in kept.iterdir()) == ["a", "b", "d"]
    with pytest.raises(StorageError, match="raise HTL_CACHE_SIZE"):
        cache.local_path("s3://htl/bounded/c")


def test_addresses(monkeypatch, tmp_path):
    """Addresses are told from paths, keys cannot lead out of the cache, and what lies there is called by its address."""
    monkeypatch.setenv("HTL_CACHE", str(tmp_path))
    assert address.address_of(Path("az://container/a/b.csv")) == "az://container/a/b.csv"
    assert address.address_of("s3_images/a.png") is None
    path = address.cached_path("gs://bucket/a/b")
    assert address.shown(path) == "gs://bucket/a/b"
    assert address.with_addresses(f"{path} and s3:/bucket/c") == "gs://bucket/a/b and s3://bucket/c"
    for key in ("../x", "a//b", "./a"):
        with pytest.raises(DataError):
            address.cached_path(f"s3://bucket/{key}")
    monkeypatch.setenv("HTL_CACHE_SIZE", "2T")
    assert address.cache_size() == 2 * 2**40
    monkeypatch.setenv("HTL_CACHE_SIZE", "much")
    with pytest.raises(UsageError, match="HTL_CACHE_SIZE"):
        address.cache_size()


def test_other_services(forget, monkeypatch):
    """Failures of other libraries are told apart by what they are: denied, for now, or for good."""

    class ClientAuthenticationError(Exception):
        status_code = 401

    class HttpError(OSError):
        code = 503

    assert "may not be read" in str(remote.lasting_failure("az://container/a", ClientAuthenticationError("no")))
    assert remote.lasting_failure("gs://bucket/a", HttpError("busy")) is None
    assert remote.lasting_failure("gs://bucket/a", ConnectionResetError(104, "reset")) is None
    assert isinstance(remote.lasting_failure("s3://bucket/a", OSError(28, "No space left on device")), StorageError)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    forget()
    with pytest.raises(DeviceMissing):
        remote.find("s3://bucket/a")
