"""HDF5 files that may come from strangers: only what lies in the file itself is read, and no more than it can hold.

Links that lead elsewhere are not followed, external and virtual data are refused, and what an array would take is compared with
what the file has before any memory is asked for.
"""

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from htltools.errors import DataError, MissingInput
from htltools.formats.rows.schema import SCHEMA

UNFOLDED = 256  # times the bytes of a file that its arrays may take; a net that is 99 % sparse takes 70 times those of its own
ALWAYS = 2**29  # bytes that they may take in any case
DEPTH = 4  # levels of groups that htl makes
NUMBERS = "fiub"  # kinds of dtypes
ZLIB = 1100  # times its own bytes that a gzipped chunk can come to, at most


@contextmanager
def opened(path: Path, kind: str, called: str, remedy: str | None = None) -> Iterator[h5py.File]:
    """An HDF5 file of a kind of htl's, to read from. `called` is what people call such a file.

    Raises: MissingInput; DataError where it is another kind of file, or damaged; then with the remedy.
    """
    if not path.is_file():
        raise MissingInput(f"{path} is not there")
    try:
        with h5py.File(path, "r", locking=False) as file:
            if attribute(file, "kind") != kind:
                raise DataError(f"{path} is no {called}")
            if not 0 < int(attribute(file, "schema")) <= SCHEMA:
                raise DataError(f"{path} was written by a newer htl", "upgrade htl")
            yield file
    except (DataError, MemoryError):
        raise
    except Exception as error:  # HDF5 and h5py raise nearly anything on damaged files
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{path} is no {called}, or damaged ({reason})", remedy) from None


def attribute(file: h5py.File, name: str) -> str | int | None:
    """A single text of fixed length (see `texts`) or number beside the data; None where there is none."""
    if name not in file.attrs:
        return None
    found = file.attrs.get_id(name)
    if found.shape != () or found.dtype.kind not in "Sui":
        raise ValueError(f"{name} is no plain text or number; older versions of htl wrote such: make the file anew")
    value = file.attrs[name]
    return value.decode() if isinstance(value, bytes) else int(value)


def texts(**values: str) -> dict[str, np.bytes_]:
    """Texts as attributes of fixed length: HDF5 keeps others in a heap, and a damaged heap makes it run for ever (HDF5 2.0)."""
    return {name: np.bytes_(value.encode()) for name, value in values.items()}


def datasets(group: h5py.Group, path: str = "", seen: set | None = None) -> Iterator[tuple[str, h5py.Dataset]]:
    """The names and the datasets of a file, as far as they lie in the file itself; each once."""
    seen = set() if seen is None else seen
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        item = group[name]
        place = h5py.h5o.get_info(item.id).addr
        if place in seen:
            continue
        seen.add(place)
        if isinstance(item, h5py.Dataset):
            yield path + name, item
        elif isinstance(item, h5py.Group) and path.count("/") < DEPTH:
            yield from datasets(item, f"{path}{name}/", seen)


def own(file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset at the top of a file, that lies in the file itself.

    Raises: KeyError where there is none.
    """
    if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
        raise KeyError(f"it holds no {name} of its own")
    return file[name]


def array(dataset: h5py.Dataset) -> np.ndarray:
    """What a dataset holds. Raises: as `check`."""
    check(dataset)
    if dataset.chunks is None or not dataset.size:
        return dataset[()]
    _, packed = dataset.id.read_direct_chunk((0,) * dataset.ndim)
    # not by HDF5, which unfolds a chunk whole, whatever size is declared
    data = zlib.decompressobj().decompress(packed, dataset.nbytes)
    return np.frombuffer(bytearray(data), dataset.dtype).reshape(dataset.shape)


def check(dataset: h5py.Dataset) -> None:
    """Refuse what htl does not write: anything but plain numbers, in one piece or one gzipped chunk, that the file really holds.

    Raises: ValueError with a short reason.
    """
    name, how = dataset.name.rpartition("/")[2], dataset.id.get_create_plist()
    layout, chunked = how.get_layout(), dataset.chunks is not None
    if dataset.shape is None or dataset.dtype.kind not in NUMBERS or dataset.dtype.subdtype:
        raise ValueError(f"{name} holds no plain numbers")
    if layout == h5py.h5d.VIRTUAL or how.get_external_count():
        raise ValueError(f"{name} does not lie in the file itself")
    if not math.prod(dataset.shape):
        return
    filters = [how.get_filter(i)[0] for i in range(how.get_nfilters())]
    if chunked and (filters != [h5py.h5z.FILTER_DEFLATE] or dataset.chunks != dataset.shape or not dataset.id.get_num_chunks()):
        raise ValueError(f"{name} is not stored as htl does it")
    size, stored, held = math.prod(dataset.shape) * dataset.dtype.itemsize, dataset.id.get_storage_size(), dataset.file.id.get_filesize()
    if stored > held or (stored < size if not chunked else stored * ZLIB < size):
        raise ValueError(f"{name} declares more than the file holds")


def check_room(found: dict[str, h5py.Dataset]) -> None:
    """Refuse arrays that would take many times the memory of what the file holds.

    Raises: ValueError.
    """
    size = sum(math.prod(dataset.shape or (0,)) * dataset.dtype.itemsize for dataset in found.values())
    held = max((dataset.file.id.get_filesize() for dataset in found.values()), default=0)
    if size > max(ALWAYS, UNFOLDED * held):
        raise ValueError(f"it unfolds to {size / 2**30:.1f} GiB, {size // max(held, 1)} times its own size")
