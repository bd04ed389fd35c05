"""The store of images."""

import functools
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htltools.errors import CannotCreate, DataError, MissingInput
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import SCHEMA
from htltools.formats.store.safe_hdf5 import text_attributes
from htltools.formats.store.shard import STORE_KIND, Images, mapped_dataset, placement, read_shard, shard_path, write_shard
from htltools.formats.store.store import store_lines

FRAME = (6, 5, 3)


def make_store(folder, counts=(4, 3), frame=FRAME):
    """A store of noise with that many images in each shard: its rows, and all its images in their order."""
    noise = np.random.default_rng(7).integers(0, 256, (sum(counts), *frame), np.uint8)
    rows, start = [], 0
    for number, count in enumerate(counts):
        images = noise[start : start + count]
        mine = [{"id": f"s{start + i}", "index": i, "size": [50, 60]} for i in range(count)]
        write_shard(
            shard_path(folder, number), images, images[..., 0] // 128 * 255, mine, [], plan="p", history=[{"run": "r"}], shards=len(counts)
        )
        rows += read_shard(shard_path(folder, number))[0]
        start += count
    return rows, noise


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Rows and images of a store of two shards."""
    return make_store(tmp_path_factory.mktemp("store"))


@settings(deadline=None, max_examples=40)
@given(order=st.permutations(range(7)), chosen=st.lists(st.integers(0, 6), max_size=9))
def test_mapped_reads_equal_what_was_written(store, order, chosen):
    """Any rows in any order, and any batch of them with repeats, give the bytes that were written."""
    rows, noise = store
    images = Images([rows[i] for i in order])
    assert images.shape == (7, *FRAME)
    batch = images.batch(np.array(chosen, np.int64))
    assert batch.dtype == np.uint8
    assert (batch == noise[np.array(order)[np.array(chosen, int)]]).all()


def test_shards_are_contiguous_uint8(tmp_path):
    """A shard is as the manual describes it: contiguous, uncompressed uint8, whose bytes any program can map."""
    make_store(tmp_path)
    with h5py.File(tmp_path / "00000.h5") as file:
        images = file["images"]
        assert (images.dtype, images.chunks, images.compression) == (np.uint8, None, None)
        assert images.id.get_offset() is not None
        assert file["masks"].dtype == np.uint8
        assert file.attrs["kind"] == b"htl-store"
    assert isinstance(mapped_dataset(tmp_path / "00000.h5"), np.memmap)
    assert set(np.unique(mapped_dataset(tmp_path / "00001.h5", "masks"))) == {0, 255}


def test_maps_cannot_be_written_to(store):
    """Reading can never change a store."""
    with pytest.raises(ValueError):
        Images(store[0]).maps[0][0] = 1


def test_rows_of_a_store_come_in_order_and_say_where_they_lie_now(tmp_path):
    """A finished store is a source of rows, and after a move its rows name the new place."""
    (tmp_path / "old").mkdir()
    make_store(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    lines = b"".join(store_lines(tmp_path / "new")).decode()
    assert [line.split('"')[3] for line in lines.splitlines()] == [f"s{i}" for i in range(7)]
    assert str(tmp_path / "new" / "00001.h5") in lines
    with pytest.raises(MissingInput, match=r"holds no shards"):
        next(store_lines(tmp_path))


def test_missing_shard(store):
    """A row whose store was moved fails with the path and the remedy."""
    with pytest.raises(MissingInput, match=r"the store /no/00000\.h5 is not there; rows name their store by path"):
        Images([store[0][0] | {"store": "/no/00000.h5"}])


def test_cut_shard(tmp_path):
    """A shard that lost its last bytes is refused wherever it was cut, never read as noise."""
    rows, _ = make_store(tmp_path, (64,))
    path = tmp_path / "00000.h5"
    whole = path.read_bytes()
    for size in (0, 10, 600, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"or damaged"):
            Images(rows)
        with pytest.raises(DataError, match=r"or damaged"):
            read_shard(path)


def test_corrupt_shard(tmp_path):
    """A file that is no HDF5 at all is refused with its name."""
    rows, _ = make_store(tmp_path)
    (tmp_path / "00000.h5").write_bytes(b"garbage" * 1000)
    with pytest.raises(DataError, match=r"00000\.h5 is no shard of a store, or damaged .*; remove it and run prepare again"):
        Images(rows)


def test_other_hdf5_files_are_no_shards(tmp_path):
    """An HDF5 file of another kind, or with other arrays, is refused."""
    made = {"other": {}, "wide": {"dtype": np.float32}, "packed": {"compression": "gzip"}}
    for name, how in made.items():
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_dataset("images", data=np.zeros((2, 4, 4, 3), how.pop("dtype", np.uint8)), **how)
            if name != "other":
                file.attrs.update(text_attributes(kind=STORE_KIND), schema=SCHEMA)
    for reading in (read_shard, mapped_dataset):
        with pytest.raises(DataError, match="is no shard of a store"):
            reading(tmp_path / "other.h5")
    for name in ("wide", "packed"):
        with pytest.raises(DataError, match="images is not contiguous uint8"):
            mapped_dataset(tmp_path / f"{name}.h5")


def test_stores_of_different_frames_do_not_mix(tmp_path):
    """Rows of two stores go together where their frames agree, and are refused where they do not."""
    for name, frame in {"a": FRAME, "b": FRAME, "c": (8, 8, 3)}.items():
        (tmp_path / name).mkdir()
        make_store(tmp_path / name, (2,), frame)
    a, b, c = (read_shard(tmp_path / name / "00000.h5")[0] for name in "abc")
    assert Images(a + b).shape == (4, *FRAME)
    with pytest.raises(DataError, match="the rows mix stores of different frames"):
        Images(a + c)


def test_rows_must_name_a_image_that_is_there(store):
    """A row without a place, or with one beyond its shard, is refused."""
    row = store[0][0]
    with pytest.raises(DataError, match=r"the row 's0' names no stored image"):
        Images([Row({key: value for key, value in row.items() if key != "index"})])
    with pytest.raises(DataError, match=r"a row asks for an image that .* does not hold"):
        Images([row | {"index": 4}])


def test_empty_shard(tmp_path):
    """A shard of which every sample was left out is valid: no rows, and the reasons."""
    skips = [{"id": "a", "source": "a.jpg", "reason": "unreadable"}]
    write_shard(tmp_path / "00000.h5", np.zeros((0, *FRAME), np.uint8), None, [], skips, plan="p", history=[])
    assert read_shard(tmp_path / "00000.h5") == ([], skips, "p")
    assert mapped_dataset(tmp_path / "00000.h5").shape == (0, *FRAME)
    assert list(store_lines(tmp_path)) == []


def test_a_shard_appears_whole_or_not_at_all(tmp_path):
    """Where writing fails, no file is left, neither under its name nor under a temporary one, and an old one stays."""
    bad = [{"id": "a", "weight": float("nan")}]
    images = np.zeros((1, *FRAME), np.uint8)
    with pytest.raises(DataError):
        write_shard(tmp_path / "00000.h5", images, None, bad, [], plan="p", history=[])
    assert list(tmp_path.iterdir()) == []
    write_shard(tmp_path / "00000.h5", images, None, [], [], plan="old", history=[])
    with pytest.raises(DataError):
        write_shard(tmp_path / "00000.h5", images, None, bad, [], plan="new", history=[])
    assert [path.name for path in tmp_path.iterdir()] == ["00000.h5"]
    assert read_shard(tmp_path / "00000.h5")[2] == "old"


def test_a_folder_that_is_not_there(tmp_path):
    """Writing into a folder that does not exist fails with the path of the file."""
    with pytest.raises(CannotCreate, match=r"cannot create .*nowhere/00000\.h5"):
        write_shard(tmp_path / "nowhere" / "00000.h5", np.zeros((1, *FRAME), np.uint8), None, [], [], plan="p", history=[])


def test_places_may_be_remembered(store):
    """Images of batch after batch open each shard once where the caller remembers the places, and are the same images."""
    rows, opened = store[0], []
    place = functools.cache(lambda path, name: opened.append(path) or placement(path, name))
    for row in rows:
        assert (Images([row], place).batch(np.arange(1)) == Images([row]).batch(np.arange(1))).all()
    assert sorted(opened) == sorted({Path(row["store"]) for row in rows})
