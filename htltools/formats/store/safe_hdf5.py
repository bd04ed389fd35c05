"""Untrusted HDF5 files: only data in the file itself are read, and no more than it can hold.

Links to other files are not followed, external and virtual data are refused, and the size of an array is compared with that of the
file before any memory is allocated.
"""

import math
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from htltools.errors import DataError, MissingInput
from htltools.formats.rows.schema import SCHEMA

MAX_RATIO = 256  # times the bytes of a file that its arrays may take; a net that is 99 % sparse takes 70 times those of its own
ALWAYS_ALLOWED = 2**29  # bytes that they may take in any case
DEPTH = 4  # levels of groups that htl makes
NUMBERS = "fiub"  # kinds of dtypes
ZLIB = 1100  # times its own bytes that a gzipped chunk can come to, at most


@contextmanager
def open_hdf5(path: Path, kind: str, name: str, remedy: str | None = None) -> Iterator[h5py.File]:
    """An HDF5 file of one of htl's kinds, to read from. `name`: of the kind, for people.

    Raises: MissingInput; DataError where it is another kind of file, or damaged; then with the remedy.
    """
    if not path.is_file():
        raise MissingInput(f"{path} is not there")
    try:
        with h5py.File(path, "r", locking=False) as file:
            if attribute(file, "kind") != kind:
                raise DataError(f"{path} is no {name}")
            schema = attribute(file, "schema")
            if not isinstance(schema, int):
                raise ValueError("it names no schema")
            if not 0 < schema <= SCHEMA:
                raise DataError(f"{path} was written by a newer htl", "upgrade htl")
            yield file
    except (DataError, MemoryError):
        raise
    except Exception as error:  # HDF5 and h5py raise nearly anything on damaged files
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{path} is no {name}, or damaged ({reason})", remedy) from None


def attribute(file: h5py.File, name: str) -> str | int | None:
    """An attribute of the file, a text of fixed length (see `text_attributes`) or a number; None where there is none.

    Raises: ValueError where it is something else.
    """
    if name not in file.attrs:
        return None
    described = file.attrs.get_id(name)
    if described.shape != () or described.dtype.kind not in "Sui":
        raise ValueError(f"{name} is no plain text or number")
    value = file.attrs[name]
    return value.decode() if isinstance(value, bytes) else int(value)


def kind_of_hdf5(path: Path) -> str | None:
    """Which of htl's kinds an HDF5 file is; None where it is none of them, or cannot be opened."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            kind = attribute(file, "kind")
    except Exception:  # HDF5 and h5py raise nearly anything on damaged files
        return None
    return kind if isinstance(kind, str) else None


def text_attributes(**values: str) -> dict[str, np.bytes_]:
    """Texts as attributes of fixed length: HDF5 keeps others in a heap, and a damaged heap makes it run for ever (HDF5 2.0)."""
    return {name: np.bytes_(value.encode()) for name, value in values.items()}


def own_datasets(group: h5py.Group, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, h5py.Dataset]]:
    """The names and the datasets that lie in the file itself, each once."""
    seen = set() if seen is None else seen
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        item = group[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            continue
        seen.add(address)
        if isinstance(item, h5py.Dataset):
            yield path + name, item
        elif isinstance(item, h5py.Group) and path.count("/") < DEPTH:
            yield from own_datasets(item, f"{path}{name}/", seen)


def own_dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset of the root group that lies in the file itself.

    Raises: KeyError where there is none.
    """
    if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
        raise KeyError(f"it holds no {name} of its own")
    return file[name]


def read_array(dataset: h5py.Dataset) -> np.ndarray:
    """The values of a dataset.

    Raises: as `check_dataset`.
    """
    check_dataset(dataset)
    if dataset.chunks is None or not dataset.size:
        return dataset[()]
    _, packed = dataset.id.read_direct_chunk((0,) * dataset.ndim)
    # not by HDF5, which unpacks a chunk whole, whatever size is declared
    data = zlib.decompressobj().decompress(packed, dataset.nbytes)
    return np.frombuffer(bytearray(data), dataset.dtype).reshape(dataset.shape)


def check_dataset(dataset: h5py.Dataset) -> None:
    """Refuse anything but plain numbers, contiguous or in one gzipped chunk, that the file really holds: htl writes nothing else.

    Raises: ValueError with a short reason.
    """
    name, properties = dataset.name.rpartition("/")[2], dataset.id.get_create_plist()
    layout, chunked = properties.get_layout(), dataset.chunks is not None
    if dataset.shape is None or dataset.dtype.kind not in NUMBERS or dataset.dtype.subdtype:
        raise ValueError(f"{name} holds no plain numbers")
    if layout == h5py.h5d.VIRTUAL or properties.get_external_count():
        raise ValueError(f"{name} does not lie in the file itself")
    if not math.prod(dataset.shape):
        return
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    if chunked and (filters != [h5py.h5z.FILTER_DEFLATE] or dataset.chunks != dataset.shape or not dataset.id.get_num_chunks()):
        raise ValueError(f"{name} is not stored as htl does it")
    size, stored, held = math.prod(dataset.shape) * dataset.dtype.itemsize, dataset.id.get_storage_size(), dataset.file.id.get_filesize()
    if stored > held or (stored < size if not chunked else stored * ZLIB < size):
        raise ValueError(f"{name} declares more than the file holds")


def check_unpacked_size(datasets: Iterable[h5py.Dataset]) -> None:
    """Refuse arrays that would take many times the memory of their file.

    Raises: ValueError.
    """
    datasets = list(datasets)
    size = sum(math.prod(dataset.shape or (0,)) * dataset.dtype.itemsize for dataset in datasets)
    held = max((dataset.file.id.get_filesize() for dataset in datasets), default=0)
    if size > max(ALWAYS_ALLOWED, MAX_RATIO * held):
        raise ValueError(f"it unpacks to {size / 2**30:.1f} GiB, {size // max(held, 1)} times its own size")
