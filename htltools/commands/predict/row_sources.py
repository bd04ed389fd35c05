"""Whether the sources of `predict` are rows, or images that are in no store yet."""

import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from htltools.errors import MissingInput, UsageError
from htltools.formats.models.file_kind import is_parquet
from htltools.formats.remote.address import address_of
from htltools.formats.remote.inputs import rows_path
from htltools.formats.rows.stream import RowReader
from htltools.formats.sources.open_rows import lines_of, open_rows
from htltools.formats.store.shard import shard_path


def row_source(sources: Sequence[str], *, partial: bool) -> tuple[RowReader | None, bytes]:
    """The reader of rows; or None, and the list of paths that stdin holds where `-` is a source.

    Rows are known by their first letter, a brace; a folder by the first shard of a store.

    Raises: MissingInput where stdin is the only source, and empty; UsageError where rows stand beside other sources.
    """
    listed = b""
    holding = [source for source in sources if source != "-" and holds_rows(Path(source))]
    reader = open_rows(Path(holding[0]), partial=partial) if holding else None
    if "-" in sources:
        stdin = sys.stdin.buffer
        first = stdin.readline()
        if first.lstrip().removeprefix(b"\xef\xbb\xbf").startswith(b"{"):
            holding.append("-")
            reader = RowReader(chain([first], lines_of(stdin, "stdin")), partial=partial)
        else:
            listed = first + stdin.read()
            if not listed.strip() and len(sources) == 1:
                raise MissingInput("stdin holds neither rows nor paths", "did the command before fail, or a filter drop them all?")
    if reader and len(sources) > 1:
        raise UsageError(
            f"{'stdin' if holding[0] == '-' else holding[0]} holds rows, and stands beside other sources", "join rows with cat"
        )
    return reader, listed


def holds_rows(path: Path) -> bool:
    """Whether a path is a file of rows, or a store."""
    path = rows_path(path)
    if address_of(path):
        return True
    if path.is_dir():
        return shard_path(path, 0).is_file()
    if not path.is_file():
        return False
    if is_parquet(path):
        return True
    with path.open("rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
