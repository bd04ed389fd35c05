"""HDF5 files with a seal: a checksum of every byte, in the block that HDF5 leaves to its users."""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from htltools.errors import DataError, MissingInput
from htltools.formats.files.atomic import replacing

BLOCK = 512  # bytes before HDF5's own, its "user block", which readers of HDF5 pass over
MAGIC = b"htl sha256 "


class Frame(io.BytesIO):
    """What HDF5 writes of a file: all but the arrays that it only reserves room for at the end."""

    size = 0  # of the whole file, in bytes

    def truncate(self, size: int | None = None) -> int:
        """Remember how long the file is to be, without room in memory for what is reserved."""
        self.size = self.tell() if size is None else size
        return self.size


@contextmanager
def sealing(path: Path, **how: Any) -> Iterator[tuple[h5py.File, list[tuple[int, np.ndarray]]]]:
    """An HDF5 file to fill, and a list to fill with (offset, array) of what need not go through HDF5; then it appears sealed.

    HDF5 writes to memory: on a full disk it would end the process with a segmentation fault (HDF5 2.0).
    Raises: CannotCreate, StorageError.
    """
    frame, pieces = Frame(), []
    with h5py.File(frame, "w", userblock_size=BLOCK, **how) as file:
        yield file, pieces
    with replacing(path) as temporary, open(temporary, "w+b") as out:
        out.write(frame.getbuffer())
        for offset, array in pieces:
            out.seek(offset)
            out.write(np.ascontiguousarray(array))
        out.truncate(max(frame.size, out.seek(0, os.SEEK_END)))
        out.seek(BLOCK)
        digest = hashlib.file_digest(out, "sha256").hexdigest()
        out.seek(0)
        out.write(seal_of(digest))


def seal_of(digest: str) -> bytes:
    """The block in front of a file whose other bytes have that sha256."""
    return (MAGIC + digest.encode() + b"\n").ljust(BLOCK, b"\0")


def check_seal(path: Path) -> None:
    """Refuse a file of which any byte is not what was written.

    Raises: DataError; MissingInput.
    """
    try:
        with open(path, "rb") as file:
            seal = file.read(BLOCK)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise MissingInput(f"{path} is not there") from None
    if not seal.startswith(MAGIC):
        raise DataError(f"{path} carries no checksum of htl", "it is damaged at its very beginning, or something else wrote it")
    if seal != seal_of(digest):
        raise DataError(f"{path} is damaged: its checksum does not hold", "make it again, or take it from a copy")
