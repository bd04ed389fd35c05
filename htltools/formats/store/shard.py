"""The store: HDF5 shards of images, contiguous, so that readers map the bytes."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from htltools.errors import DataError, MissingInput
from htltools.formats.rows.jsonlines import compact_json, joined_lines, split_lines
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import SCHEMA
from htltools.formats.store import safe_hdf5
from htltools.formats.store.checksummed_hdf5 import sealing

SHARD_SAMPLES = 512
KIND = "htl-store"

Place = Callable[[Path, str], tuple[int, tuple[int, ...]]]  # path of a shard and name of a dataset to its offset and shape


def shard_path(folder: Path, number: int) -> Path:
    """Where the shard of that number lies."""
    return folder / f"{number:05d}.h5"


def write_shard(
    path: Path,
    images: np.ndarray,  # uint8 [N, H, W, C]
    masks: np.ndarray | None,  # uint8 [N, H, W]
    rows: Sequence[dict[str, Any]],
    skips: Sequence[dict[str, Any]],
    *,
    plan: str,
    history: list[dict],
    shards: int = 1,
) -> None:
    """Write a shard whole, under its final name only once it is synced.

    The images do not go through HDF5, which would hold the interpreter, and with it the queue that feeds the decoding processes.
    """
    arrays = {"images": images} | ({"masks": masks} if masks is not None else {})
    with sealing(path) as (file, pieces):
        file.attrs.update(safe_hdf5.texts(kind=KIND, plan=plan), schema=SCHEMA, shards=shards)
        for name, values in {"rows": rows, "skips": skips}.items():
            file.create_dataset(name, data=np.frombuffer(joined_lines(values), np.uint8))
        file.create_dataset("digests", data=image_digests(images))
        # attributes in an HDF5 object header end at 64 KiB; a dataset does not
        file.create_dataset("history", data=np.frombuffer(compact_json(history), np.uint8))
        for name, array in arrays.items():  # at the end, where the room for them need not be held in memory
            offset = reserved(file, name, array.shape)
            if array.size:
                pieces.append((offset, array.astype(np.uint8, copy=False)))


def image_digests(images: np.ndarray) -> np.ndarray:
    """What tells N images apart, 64 bits of the sha256 of each: uint64 [N]."""
    return np.frombuffer(b"".join(hashlib.sha256(image).digest()[:8] for image in images), "<u8")


def read_digests(path: Path) -> np.ndarray:
    """The digests of the images of a shard: uint64 [N].

    Raises: DataError where it is no shard of a store.
    """
    with opened(path) as file:
        if "digests" in file:
            return safe_hdf5.array(safe_hdf5.own(file, "digests"))
        return image_digests(safe_hdf5.array(safe_hdf5.own(file, "images")))  # there were shards before digests


def reserved(file: h5py.File, name: str, shape: tuple[int, ...]) -> int | None:
    """The offset in bytes of a new contiguous uint8 dataset, to be filled by the caller; None where it has no bytes."""
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    how.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    how.set_obj_track_times(False)  # no clock in the file: the same images are the same bytes
    return h5py.h5d.create(file.id, name.encode(), h5py.h5t.STD_U8LE, h5py.h5s.create_simple(shape), how).get_offset()


def read_shard(path: Path) -> tuple[list[Row], list[dict[str, Any]], str]:
    """Rows (with their store), skips and plan of a shard.

    Raises: DataError where it is no shard of a store.
    """
    with opened(path) as file:
        rows, skips = (split_lines(safe_hdf5.array(safe_hdf5.own(file, name)).tobytes()) for name in ("rows", "skips"))
        plan, store = str(safe_hdf5.attribute(file, "plan")), str(path.absolute())
        return [with_store(row, store) for row in rows], skips, plan


def plan_of_shard(path: Path) -> str:
    """The plan that a shard was made by, without its rows.

    Raises: DataError where it is no shard of a store.
    """
    with opened(path) as file:
        return str(safe_hdf5.attribute(file, "plan"))


def opened(path: Path) -> AbstractContextManager[h5py.File]:
    """A shard to read from.

    Raises: MissingInput; DataError where it is no shard of a store.
    """
    return safe_hdf5.opened(path, KIND, "shard of a store", "remove it and run prepare again")


def with_store(row: dict[str, Any], store: str) -> Row:
    """The row with `store` in front of `index`, where a reader expects it."""
    named = Row()
    for key, value in row.items():
        if key == "index":
            named["store"] = store
        named[key] = value
    return named


class Images:
    """The images of some rows, read from memory-mapped shards.

    shape: (N, H, W, C). `place`: `placement`, or a cached one where the same shards are asked for again and again. `name`: the dataset.
    Raises DataError where a shard is missing, damaged or of another shape than the first.
    """

    def __init__(self, rows: Sequence[Row], place: Place | None = None, name: str = "images"):
        stored = [row.stored_at for row in rows]
        paths = sorted({path for path, _ in stored})
        self.maps = [mapped(Path(path), name, place) for path in paths]
        number = {path: i for i, path in enumerate(paths)}
        shard = np.array([number[path] for path, _ in stored], np.int64)  # [N]
        index = np.array([place for _, place in stored], np.int64)  # [N]
        frames = {array.shape[1:] for array in self.maps}
        if len(frames) > 1:
            raise DataError(f"the rows mix stores of different frames {sorted(frames)}", "prepare them with one --size")
        beyond = np.flatnonzero(index >= np.array([len(array) for array in self.maps])[shard])
        if len(beyond):
            raise DataError(f"a row asks for an image that {paths[shard[beyond[0]]]} does not hold", "prepare the store again")
        self.shape = (len(rows), *self.maps[0].shape[1:])
        self.everywhere, starts = one_field(self.maps)
        self.start = starts[shard] + index * self.everywhere.itemsize  # [N]

    def batch(self, chosen: np.ndarray) -> np.ndarray:
        """Images of the chosen rows (int64 [B]), in that order: uint8 [B, H, W, C]. Near the speed of a plain memory copy."""
        return self.everywhere[self.start[chosen]].view(np.uint8).reshape(len(chosen), *self.shape[1:])


def one_field(maps: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Maps [N_i, H, W, C] of one frame as a single array with an image at every byte, and the byte where each map starts: int64 [maps].

    One fancy index then gathers from all maps at once. What lies between the maps must never be read; the array is valid as
    long as the maps are.
    """
    addresses = np.array([array.ctypes.data for array in maps], np.int64)
    lowest = int(addresses.argmin())
    image = np.dtype(f"V{int(np.prod(maps[0].shape[1:]))}")
    first = np.asarray(maps[lowest]).reshape(-1)[: image.itemsize].view(image)
    starts = addresses - addresses[lowest]
    span = int(max(start + array.nbytes for start, array in zip(starts, maps)))
    return np.lib.stride_tricks.as_strided(first, (span,), (1,), writeable=False), starts


def mapped(path: Path, name: str = "images", place: Place | None = None) -> np.ndarray:
    """A dataset of a shard as a read-only memory map, without a lock or an open handle.

    Raises: MissingInput, DataError.
    """
    offset, shape = (place or placement)(path, name)
    return np.memmap(path, np.uint8, "r", offset, shape) if np.prod(shape) else np.zeros(shape, np.uint8)


def placement(path: Path, name: str) -> tuple[int, tuple[int, ...]]:
    """Where in a shard a dataset lies: offset in bytes, and shape.

    Raises: MissingInput, DataError.
    """
    if not path.is_file():
        raise MissingInput(
            f"the store {path} is not there", "rows name their store by path: was it moved? `htl view FOLDER` gives its rows anew"
        )
    with opened(path) as file:
        dataset = safe_hdf5.own(file, name)
        safe_hdf5.check(dataset)
        shape, offset = dataset.shape, dataset.id.get_offset()
        if dataset.dtype != np.uint8 or len(shape) < 3 or (dataset.size and offset is None):
            raise DataError(f"{path}: {name} is not contiguous uint8")
    return offset or 0, shape
