"""HDF5 files with a checksum of every byte, in the block that HDF5 leaves to its users."""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from htltools.errors import DataError, MissingInput
from htltools.formats.files.atomic import replacing

BLOCK = 512  # bytes before HDF5's own, its "user block", which readers of HDF5 skip
MAGIC = b"htl sha256 "


class FileInMemory(io.BytesIO):
    """A file as HDF5 writes it, without the arrays at its end that HDF5 only reserves room for."""

    size = 0  # of the whole file, in bytes

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file without taking memory for what is reserved."""
        self.size = self.tell() if size is None else size
        return self.size


@contextmanager
def written_with_checksum(path: Path, **options: Any) -> Iterator[tuple[h5py.File, list[tuple[int, np.ndarray]]]]:
    """An HDF5 file to fill, and a list to fill with (offset, array) of what is not written through HDF5. Afterwards the file appears, with
    its checksum, whole or not at all.

    HDF5 writes to memory: on a full disk it would end the process with a segmentation fault (HDF5 2.0).

    options: of h5py.File.

    Raises: CannotCreate, StorageError.
    """
    memory = FileInMemory()
    pieces: list[tuple[int, np.ndarray]] = []
    with h5py.File(memory, "w", userblock_size=BLOCK, **options) as file:
        yield file, pieces
    with replacing(path) as temporary, open(temporary, "w+b") as out:
        out.write(memory.getbuffer())
        for offset, array in pieces:
            out.seek(offset)
            out.write(np.ascontiguousarray(array).data)
        out.truncate(max(memory.size, out.seek(0, os.SEEK_END)))
        seal(out)


def seal(file: BinaryIO) -> None:
    """Write the checksum of a file into its first block."""
    file.seek(BLOCK)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # typeshed wants readinto of any buffer
    file.seek(0)
    file.write(checksum_block(digest))


def checksum_block(digest: str) -> bytes:
    """The first block of a file whose other bytes have that sha256."""
    return (MAGIC + digest.encode() + b"\n").ljust(BLOCK, b"\0")


def carries_checksum(path: Path) -> bool:
    """Whether a file begins as those with a checksum do."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def check_hdf5_checksum(path: Path) -> None:
    """Refuse a file of which any byte is not what was written.

    Raises: DataError; MissingInput.
    """
    try:
        with open(path, "rb") as file:
            block = file.read(BLOCK)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise MissingInput(f"{path} is not there") from None
    if not block.startswith(MAGIC):
        raise DataError(f"{path} carries no checksum of htl", "it is damaged at its very beginning, or something else wrote it")
    if block != checksum_block(digest):
        raise DataError(f"{path} is damaged: its checksum does not hold", "make it again, or take it from a copy")
