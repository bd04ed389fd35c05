"""Shards of a store: HDF5 files of images, contiguous, so that readers can map the bytes."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from htltools.errors import DataError, MissingInput
from htltools.formats.remote.address import address_of
from htltools.formats.remote.cache import fetch_ahead, local_path
from htltools.formats.rows.jsonlines import compact_json, joined_lines, split_lines
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import SCHEMA
from htltools.formats.store import safe_hdf5
from htltools.formats.store.checksummed_hdf5 import check_hdf5_checksum, written_with_checksum

SHARD_SAMPLES = 512
STORE_KIND = "htl-store"

Placement = Callable[[Path, str], tuple[int, tuple[int, ...]]]  # path of a shard and name of a dataset to its offset and shape


def shard_path(folder: Path, number: int) -> Path:
    """The path of the shard of that number."""
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
    """Write a shard, whole or not at all. `plan`: see `plan_of`; `shards`: number of shards of the whole store.

    Images are not written through HDF5, which would hold the interpreter, and with it the queue that feeds the decoding processes.

    Raises: CannotCreate, StorageError.
    """
    arrays = {"images": images} | ({"masks": masks} if masks is not None else {})
    with written_with_checksum(path) as (file, pieces):
        file.attrs.update(safe_hdf5.text_attributes(kind=STORE_KIND, plan=plan), schema=SCHEMA, shards=shards)
        for name, values in {"rows": rows, "skips": skips}.items():
            file.create_dataset(name, data=np.frombuffer(joined_lines(values), np.uint8))
        file.create_dataset("digests", data=image_digests(images))
        # attributes in an HDF5 object header end at 64 KiB; a dataset does not
        file.create_dataset("history", data=np.frombuffer(compact_json(history), np.uint8))
        for name, array in arrays.items():  # at the end, where reserving room for them takes no memory
            offset = reserved(file, name, array.shape)
            if offset is not None:
                pieces.append((offset, array.astype(np.uint8, copy=False)))


def image_digests(images: np.ndarray) -> np.ndarray:
    """Digests of N images, the first 64 bits of the sha256 of each: uint64 [N]."""
    return np.frombuffer(b"".join(hashlib.sha256(image).digest()[:8] for image in images), "<u8")


def read_digests(path: Path) -> np.ndarray:
    """The digests of the images of a shard: uint64 [N].

    Raises: DataError where it is no shard of a store.
    """
    with open_shard(path) as file:
        return safe_hdf5.read_array(safe_hdf5.own_dataset(file, "digests"))


def reserved(file: h5py.File, name: str, shape: tuple[int, ...]) -> int | None:
    """The offset in bytes of a new contiguous uint8 dataset, to be filled by the caller; None where it has no bytes."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)  # no clock in the file: the same images are the same bytes
    return h5py.h5d.create(file.id, name.encode(), h5py.h5t.STD_U8LE, h5py.h5s.create_simple(shape), properties).get_offset()


def read_shard(path: Path) -> tuple[list[Row], list[dict[str, Any]], str]:
    """Rows (with their store), skips and plan of a shard.

    Raises: DataError where it is no shard of a store.
    """
    with open_shard(path) as file:
        rows, skips = (split_lines(safe_hdf5.read_array(safe_hdf5.own_dataset(file, name)).tobytes()) for name in ("rows", "skips"))
        plan, store = str(safe_hdf5.attribute(file, "plan")), address_of(path) or str(path.absolute())
        return [with_store(row, store) for row in rows], skips, plan


def plan_of_shard(path: Path) -> str:
    """The plan of a shard, without reading its rows.

    Raises: DataError where it is no shard of a store.
    """
    with open_shard(path) as file:
        return str(safe_hdf5.attribute(file, "plan"))


def open_shard(path: Path) -> AbstractContextManager[h5py.File]:
    """A shard, opened to read from.

    Raises: MissingInput; DataError where it is no shard of a store; of one in object storage as `local_path`.
    """
    return safe_hdf5.open_hdf5(local_shard(path), STORE_KIND, "shard of a store", "remove it and run prepare again")


def local_shard(path: Path) -> Path:
    """The path itself, or for a shard in object storage its copy in the cache; the two next ones are fetched ahead.

    Raises: as `local_path`.
    """
    address = address_of(path)
    if address is None:
        return path
    local = local_path(address, check_hdf5_checksum)
    if path.stem.isdecimal():
        for step in (1, 2):
            fetch_ahead(address_of(shard_path(path.parent, int(path.stem) + step)) or "", check_hdf5_checksum)
    return local


def with_store(row: dict[str, Any], store: str) -> Row:
    """The row with `store` in front of `index`."""
    stored = Row()
    for key, value in row.items():
        if key == "index":
            stored["store"] = store
        stored[key] = value
    return stored


class Images:
    """The images of some rows, read from memory-mapped shards.

    shape: (N, H, W, C). `place`: `placement`, or a cached form of it where the same shards are read again and again. `name`: the dataset.

    Raises: MissingInput; DataError where a row names no stored image, or a shard is damaged or of another frame than the first.
    """

    def __init__(self, rows: Sequence[Row], place: Placement | None = None, name: str = "images"):
        shard, index, paths = stored_places(rows)  # [N], [N]
        self.maps = [mapped_dataset(Path(path), name, place) for path in paths]
        frames = {array.shape[1:] for array in self.maps}
        if len(frames) > 1:
            raise DataError(f"the rows mix stores of different frames {sorted(frames)}", "prepare them with one --size")
        beyond = np.flatnonzero(index >= np.array([len(array) for array in self.maps])[shard])
        if len(beyond):
            raise DataError(f"a row asks for an image that {paths[shard[beyond[0]]]} does not hold", "prepare the store again")
        self.shape = (len(rows), *self.maps[0].shape[1:])
        self.span, starts = spanning_array(self.maps)
        self.start = starts[shard] + index * self.span.itemsize  # [N]

    def batch(self, chosen: np.ndarray) -> np.ndarray:
        """Images of the chosen rows (int64 [B]), in that order: uint8 [B, H, W, C]. Near the speed of a plain memory copy."""
        return self.span[self.start[chosen]].view(np.uint8).reshape(len(chosen), *self.shape[1:])


def stored_places(rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The shard of each row and its place in it, int64 [N] each, and the paths of the shards, in order.

    Raises: DataError where a row names no stored image.
    """
    numbers: dict[str, int] = {}

    def places() -> Iterator[tuple[int, int]]:
        for row in rows:
            path, place = row.stored_at
            yield numbers.setdefault(path, len(numbers)), place

    pairs = np.fromiter(places(), [("shard", np.int64), ("place", np.int64)], len(rows))
    paths = sorted(numbers)
    rank = np.empty(len(paths), np.int64)
    rank[[numbers[path] for path in paths]] = np.arange(len(paths))
    return rank[pairs["shard"]], pairs["place"].copy(), paths


def spanning_array(maps: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Maps [N_i, H, W, C] of one frame as a single array with an image at every byte, and the byte where each map starts: int64 [maps].

    One fancy index then gathers from all maps at once. The memory between the maps must never be read; the array is valid as long as the
    maps are.
    """
    addresses = np.array([array.ctypes.data for array in maps], np.int64)
    lowest = int(addresses.argmin())
    image = np.dtype(f"V{int(np.prod(maps[0].shape[1:]))}")
    first = np.asarray(maps[lowest]).reshape(-1)[: image.itemsize].view(image)
    starts = addresses - addresses[lowest]
    span = int(max(start + array.nbytes for start, array in zip(starts, maps)))
    return np.lib.stride_tricks.as_strided(first, (span,), (1,), writeable=False), starts


def mapped_dataset(path: Path, name: str = "images", place: Placement | None = None) -> np.ndarray:
    """A dataset of a shard as a read-only memory map, without a lock or an open handle.

    Raises: MissingInput, DataError.
    """
    offset, shape = (place or placement)(path, name)
    path = local_shard(path)
    return np.memmap(path, np.uint8, "r", offset, shape) if np.prod(shape) else np.zeros(shape, np.uint8)


def placement(path: Path, name: str) -> tuple[int, tuple[int, ...]]:
    """The offset in bytes of a dataset in the file of its shard, and its shape.

    Raises: MissingInput, DataError.
    """
    if not local_shard(path).is_file():
        raise MissingInput(
            f"the store {path} is not there", "rows name their store by path: was it moved? `htl view FOLDER` gives its rows anew"
        )
    with open_shard(path) as file:
        dataset = safe_hdf5.own_dataset(file, name)
        safe_hdf5.check_dataset(dataset)
        shape, offset = dataset.shape, dataset.id.get_offset()
        if dataset.dtype != np.uint8 or len(shape) < 3 or (dataset.size and offset is None):
            raise DataError(f"{path}: {name} is not contiguous uint8")
    return offset or 0, shape
