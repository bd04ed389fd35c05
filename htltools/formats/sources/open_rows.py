"""Where rows come from: a file of JSON Lines or Parquet, the folder of a store, or stdin."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from htltools.errors import DataError, MissingInput
from htltools.formats.models.file_kind import is_parquet, kind_of_file
from htltools.formats.remote.address import address_of
from htltools.formats.rows.row import Row
from htltools.formats.rows.spooled import kept_rows
from htltools.formats.rows.stream import RowReader

LONGEST = 2**26  # bytes of a line


def open_rows(source: Path | None, *, partial: bool = False) -> RowReader:
    """Rows of a file, of a finished store, or of stdin (None or "-"); also in object storage.

    Raises: MissingInput where there is no such file; DataError where it is an image, a model or another file that is no text.
    """
    if source is None or str(source) == "-":
        return RowReader(lines_of(sys.stdin.buffer, "stdin"), partial=partial)
    store = source.is_dir()
    if address_of(source):
        from htltools.formats.remote.inputs import rows_path  # fsspec

        source = rows_path(source)
        store = address_of(source) is not None
    if store:
        from htltools.formats.store.store import store_lines  # h5py: a file of rows does without

        return RowReader(store_lines(source, partial=partial), name=str(source), partial=partial)
    if not source.exists():
        raise MissingInput(f"{source} is not there", "name a file of rows, a store, or - for stdin")
    if is_parquet(source):
        from htltools.formats.parquet.parquet_file import parquet_lines  # duckdb: JSON Lines do without

        return RowReader(parquet_lines(source), name=str(source), partial=partial)
    if kind := kind_of_file(source):
        what, remedy = kind
        raise DataError(f"{source} is {what}, and rows are expected", remedy)
    return RowReader(lines_of(source.open("rb"), str(source)), name=str(source), partial=partial)


def lines_of(file: BinaryIO, name: str) -> Iterator[bytes]:
    """The lines of a file.

    Raises: DataError where a line is longer than LONGEST bytes.
    """
    while line := file.readline(LONGEST):
        if len(line) == LONGEST:
            raise DataError(f"{name} holds a line of more than {LONGEST // 2**20} MiB", "it is no file of rows")
        yield line


def read_rows(source: Path | None, *, partial: bool = False, limit: int | None = None) -> tuple[list[Row], RowReader]:
    """All rows of a source, or its first `limit`, and the reader that knows its notes.

    Raises: DataError where the stream is bad or holds no row at all; MissingInput.
    """
    reader = open_rows(source, partial=partial)
    rows = list(reader)
    if not rows:
        raise no_rows(reader)
    return rows[:limit], reader


def read_many_rows(source: Path | None, *, partial: bool = False, limit: int | None = None) -> tuple[Sequence[Row], RowReader]:
    """As `read_rows`; many rows lie in a temporary file, and each access to one parses it anew, so that a change of it would be lost.

    Raises: as `read_rows`; StorageError where the folder of temporary files is full.
    """
    reader = open_rows(source, partial=partial)
    rows = kept_rows(first_rows(reader, limit))
    if not rows:
        raise no_rows(reader)
    return rows, reader


def first_rows(rows: Iterable[Row], limit: int | None) -> Iterator[Row]:
    """The first rows. The others are read and checked all the same, so that the command before them ends well."""
    rows = iter(rows)
    yield from islice(rows, limit)
    for _ in rows:
        pass


def row_count(source: Path | None, limit: int | None = None) -> int | None:
    """The number of rows of a source, for a progress bar, at most `limit`; None where it is not known beforehand, as of a pipe."""
    count: int | None = None
    if source and source.is_dir():
        from htltools.formats.store.store import store_size

        count = store_size(source)
    elif source and source.is_file() and not is_parquet(source):
        with source.open("rb") as file:
            count = sum(not line.startswith(b'{"htl":') for line in file)
    return limit if count is None else min(count, limit or count)


def no_rows(reader: RowReader) -> DataError:
    """The error for a stream that holds no row at all."""
    return DataError(f"no rows in {reader.name}", "did the command before fail, or a filter drop them all?")
