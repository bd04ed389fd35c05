"""`view --check`: whether stores, checkpoints, ONNX files and rows are byte for byte as htl wrote them."""

import sys
from collections.abc import Iterable
from pathlib import Path

from htltools import console, options
from htltools.errors import DataError, MissingInput
from htltools.formats.models.file_kind import is_parquet
from htltools.formats.models.onnx import check_onnx_checksum, is_onnx
from htltools.formats.remote.address import address_of
from htltools.formats.remote.cache import local_folder
from htltools.formats.rows.stream_checksum import check_stream_checksum
from htltools.formats.store.checksummed_hdf5 import check_hdf5_checksum
from htltools.formats.store.shard import read_shard
from htltools.formats.store.store import SKIPS, shards_of


def check_files(paths: Iterable[Path]) -> None:
    """Check files byte for byte, and say what each of them is; "-" is stdin.

    Raises: as `checked_kind`, for the first that is bad.
    """
    for path in paths:
        is_stdin = str(path) == "-"
        if is_stdin:
            options.rows_expected(None)
        console.say(f"{'stdin' if is_stdin else path}: {checked_kind(path)}, whole")


def checked_kind(path: Path) -> str:
    """What a path holds, in words, once every byte of it is known to be what htl wrote.

    Raises: DataError where one is not; MissingInput.
    """
    if str(path) == "-":
        return f"{check_stream_checksum(sys.stdin.buffer, 'stdin')} rows"
    if address := address_of(path):
        path = local_folder(address)
    if path.is_dir():
        return checked_store(path)
    if not path.exists():
        raise MissingInput(f"{path} is not there", "name a store, a checkpoint, an ONNX file, a file of rows, or -")
    with open(path, "rb") as file:
        if file.peek(1).startswith(b"{"):
            return f"{check_stream_checksum(file, str(path))} rows"
    if is_parquet(path):
        raise DataError(f"{path} is Parquet, which has no checksum of htl", "check the rows that it was made from")
    if is_onnx(path):
        check_onnx_checksum(path)
        return "an ONNX file"
    check_hdf5_checksum(path)
    return "an HDF5 file"


def checked_store(folder: Path) -> str:
    """The number of shards and samples of a store, in words, once they are checked.

    Raises: DataError where a shard is damaged or missing; MissingInput where it holds none.
    """
    for path in sorted(folder.glob("[0-9]*.h5")):
        check_hdf5_checksum(path)  # before HDF5 opens it, which damaged files can bring down
    shards = shards_of(folder)
    rows = sum(len(read_shard(path)[0]) for path in shards)
    skips = folder / SKIPS
    if skips.is_file():
        with open(skips, "rb") as file:
            check_stream_checksum(file, str(skips))
    return f"{len(shards)} shards of {rows} samples"
