"""Predictions as CSV: a line for each box."""

import csv
import io
from collections.abc import Iterable, Iterator

from htltools.formats.predictions.predicted_box import predicted_boxes
from htltools.formats.rows.row import Row

COLUMNS = "id", "file", "x0", "y0", "x1", "y1", "label", "score", "doubt"


class BoxesCsv:
    """Lines of CSV by RFC 4180, in UTF-8; a sample without a predicted box is one line without edges.

    column: of hardness, that `doubt` is, None = unknown. refer: whether a threshold of doubt says whom to refer, as a last column.
    """

    def __init__(self, column: str | None, *, refer: bool):
        self.column, self.refer = column, refer

    def heading(self) -> bytes:
        """The first line."""
        return b"".join(lines([[*COLUMNS, *(["refer"] if self.refer else [])]]))

    def of(self, rows: Iterable[Row]) -> bytes:
        """The lines of some rows."""
        return b"".join(lines(cells for row in rows for cells in self.cells(row)))

    def cells(self, row: Row) -> Iterator[list]:
        """The cells of each line of a row."""
        last = [str(bool(row.get("refer"))).lower()] if self.refer else []
        for each in predicted_boxes(row, self.column):
            yield [row.id, row.get("file", ""), *each.box, each.label, blank(each.score), blank(each.doubt), *last]
        if not predicted_boxes(row, self.column):
            doubt = row.hardness.get(self.column) if self.column else None
            yield [row.id, row.get("file", ""), *[""] * 6, blank(doubt), *last]


def blank(number: float | None) -> float | str:
    """A number, or an empty cell."""
    return "" if number is None else number


def lines(cells: Iterable[list]) -> Iterator[bytes]:
    """Lines of CSV with their ends."""
    for each in cells:
        out = io.StringIO()
        csv.writer(out).writerow(each)
        yield out.getvalue().encode("utf-8", "backslashreplace")
