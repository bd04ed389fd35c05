"""Rows of which only few are in memory: the others lie in a temporary file, and are parsed when they are asked for."""

import mmap
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress, islice
from typing import TYPE_CHECKING, Any, overload

from pydantic_core import from_json

from htltools.errors import StorageError
from htltools.formats.rows.jsonlines import compact_json
from htltools.formats.rows.row import Row

if TYPE_CHECKING:
    import numpy as np

KEPT = 20_000  # rows that are kept in memory; more are spooled. About 3 KiB each


class SpooledRows(Sequence[Row]):
    """Rows in a file that goes away with them. Each access parses: keep what you need of a row, not the row.

    Memory: 8 bytes a row, and pages of the file, which the system takes back when it needs them.
    """

    def __init__(self, data: mmap.mmap, starts: "np.ndarray", places: "np.ndarray"):
        self.data, self.starts = data, starts  # starts: int64 [M + 1], where each row of the file begins
        self.places = places  # int64 [N], which rows of the file these are

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> "SpooledRows": ...

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return SpooledRows(self.data, self.starts, self.places[place])
        number = self.places[place]
        return parsed(self.data[self.starts[number] : self.starts[number + 1]])

    def __iter__(self) -> Iterator[Row]:
        for line in self.lines():
            yield parsed(line)

    def lines(self) -> Iterator[bytes]:
        """The rows as JSON, without newlines, as they will be written."""
        for first in range(0, len(self.places), KEPT):
            numbers = self.places[first : first + KEPT]
            for start, end in zip(self.starts[numbers].tolist(), self.starts[numbers + 1].tolist()):
                yield self.data[start:end]

    def at(self, places: "np.ndarray") -> "SpooledRows":
        """The rows at these places (int64 [n]), in that order."""
        return SpooledRows(self.data, self.starts, self.places[places])


def parsed(line: bytes) -> Row:
    """The row of a line of a spool."""
    return Row(from_json(line, cache_strings="all"))


def kept_rows(rows: Iterable[Row]) -> Sequence[Row]:
    """All rows, in memory where they are few.

    Raises: StorageError where they are many, and the folder of temporary files is full.
    """
    rows = iter(rows)
    first = list(islice(rows, KEPT + 1))
    return first if len(first) <= KEPT else spooled(chain(first, rows))


def spooled(rows: Iterable[Row]) -> SpooledRows:
    """The rows in a temporary file, in the folder that TMPDIR names.

    Raises: StorageError where that is full.
    """
    import numpy as np

    try:
        with tempfile.TemporaryFile(buffering=2**20) as file:
            ends = np.cumsum(np.fromiter((file.write(compact_json(row)) for row in rows), np.int64))
            file.flush()
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        cause = f"cannot keep rows in {tempfile.gettempdir()} ({str(error.strerror).lower()})"
        raise StorageError(cause, "name a roomier folder with TMPDIR") from None
    return SpooledRows(data, np.concatenate([[0], ends]), np.arange(len(ends)))


def text_array(texts: Iterable[str]) -> "np.ndarray":
    """Texts as an array [N], without all of them as objects of Python, which take more room."""
    import numpy as np

    texts, pieces = iter(texts), [np.empty(0, "U1")]
    while piece := list(islice(texts, KEPT)):
        pieces.append(np.array(piece))
    return np.concatenate(pieces)


def rows_at(rows: Sequence[Row], places: "np.ndarray") -> Sequence[Row]:
    """The rows at these places (int64 [n]), in that order; of spooled ones none is parsed."""
    return rows.at(places) if isinstance(rows, SpooledRows) else [rows[place] for place in places.tolist()]


def rows_where(rows: Sequence[Row], flags: Iterable[bool]) -> Sequence[Row]:
    """The rows whose flag is true."""
    if not isinstance(rows, SpooledRows):
        return list(compress(rows, flags))
    import numpy as np

    return rows.at(np.flatnonzero(np.fromiter(flags, bool)))
