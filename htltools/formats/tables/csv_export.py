"""Rows as CSV by RFC 4180, for spreadsheets and for `htl prepare`, which recognises its columns."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from htltools.formats.csv.column_names import HAS_BOX, has_role
from htltools.formats.rows.fields import NESTED, field
from htltools.formats.rows.jsonlines import compact_json
from htltools.formats.rows.row import Row

FIRST = {"id": "id", "group_id": "group", "split": "split", "label": "label"}  # field by column
EDGES = "x0", "y0", "x1", "y1"
INNER = *NESTED, "predicted"
# fields of another form, or without meaning elsewhere
LEFT_OUT = {
    *("boxes", "labels", "detected", "size", "store", "index", "repeat", *INNER),
    *("file", "source_folder", "mask_files", "corrected", "mask_outdated"),  # `file` would name the image instead of the id
}


def csv_lines(rows: Sequence[Row], columns: Sequence[str] | None, shown: Callable[[str], str] = str) -> Iterator[str]:
    """Rows as lines of CSV with their line ends, a heading first; `shown` is applied to each text.

    With `columns`, fields by name, each row is one line. Without them all fields are written: a row of several boxes as that many lines,
    a repeated row once, boxes that a model predicted (`pseudo`) not at all, and a field of hardness with that word in its heading. The
    label of a line is the class of its box, where boxes have classes of their own. Where a row is known to hold none, has_box says so.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    for cells in field_lines(rows, columns) if columns else all_lines(rows):
        writer.writerow([shown(csv_cell(value)) for value in cells])
        yield out.getvalue()
        out.seek(0)
        out.truncate()


def field_lines(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[list]:
    """The heading and the cells of chosen fields."""
    yield list(columns)
    for row in rows:
        yield [field(row, name) for name in columns]


def all_lines(rows: Sequence[Row]) -> Iterator[list]:
    """The heading and the cells of all fields."""
    present = {name for row in rows for name in row if row[name] is not None}
    first = {column: name for column, name in FIRST.items() if name in present or (name == "label" and "labels" in present)}
    others = list(dict.fromkeys(name for row in rows for name in row if name not in LEFT_OUT and name not in FIRST.values()))
    inner = [(outer, name) for outer in INNER for name in dict.fromkeys(n for row in rows for n in row.get(outer) or {})]
    headings = [name if outer == "meta" and not has_role(name) and name not in others else f"{outer}.{name}" for outer, name in inner]
    known = [HAS_BOX] if any(row.annotated_boxes == [] for row in rows) else []
    yield [*first, *EDGES, *known, "width", "height", *others, *headings]
    for row in rows:
        if row.repeat:
            continue
        labels = None if row.is_pseudo else row.labels
        after: list[Any] = [*(row.size or (None, None)), *(row.get(name) for name in others)]
        after += [(row.get(outer) or {}).get(name) for outer, name in inner]
        boxes: Sequence[Sequence[Any]] = row.annotated_boxes or [[None] * len(EDGES)]
        boxed = None if row.annotated_boxes is None else int(bool(row.annotated_boxes))
        for i, box in enumerate(boxes):
            own = row | ({"label": labels[i]} if labels else {})
            yield [*(own.get(name) for name in first.values()), *box, *([boxed] if known else []), *after]


def csv_cell(value: Any) -> str:
    """A value as a cell: text as it is, numbers in full, the numbers of a list with spaces between them, anything else as JSON."""
    match value:
        case None:
            return ""
        case str():
            return value
        case list() if all(isinstance(part, (int, float)) for part in value):
            return " ".join(map(csv_cell, value))
    return compact_json(value).decode()
