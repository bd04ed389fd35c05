"""The checksum in an end note: whether lines of the stream are those that htl wrote, byte for byte."""

import hashlib
from collections.abc import Iterable
from typing import Any

from htltools.errors import DataError
from htltools.formats.rows.jsonlines import compact_json, parsed_json


def closing_note(note: dict[str, Any], before: "hashlib._Hash") -> dict[str, Any]:
    """An end note with `sha256`: of all lines since the begin note, and of the end note itself as it is without that key."""
    digest = before.copy()
    digest.update(compact_json(note) + b"\n")
    return note | {"sha256": digest.hexdigest()}


def check_closed(lines: Iterable[bytes], name: str) -> int:
    """The number of rows in lines from begin to end notes, one or several times over, of which every byte is what htl wrote.

    Raises: DataError where one is not, or none carries a checksum.
    """
    rows, closed, before = 0, 0, None  # before: digest of the lines since a begin note
    for number, line in enumerate(lines, 1):
        if line.startswith(b'{"htl":"begin",') and before is None:
            before = hashlib.sha256(line)
        elif before is None:
            raise DataError(f"{name}, line {number} stands outside of begin and end notes", "only what htl wrote itself can be checked")
        elif line.startswith(b'{"htl":"end",'):
            rows += rows_closed(line, before, f"{name}, line {number}")
            closed, before = closed + 1, None
        else:
            before.update(line)
    if before is not None or not closed:
        raise DataError(f"{name} was cut: " + ("its last line is no end note" if closed or before else "it is empty"))
    return rows


def rows_closed(line: bytes, before: "hashlib._Hash", where: str) -> int:
    """The number of rows that an end note closes.

    Raises: DataError where it does not fit what stands before it.
    """
    try:
        note = parsed_json(line)
    except ValueError:
        note = {}
    told = note.pop("sha256", None)
    if told is None:
        raise DataError(f"{where}: the end note carries no checksum", "an older htl wrote it, or it is damaged")
    if compact_json(closing_note(note, before)) + b"\n" != line:
        raise DataError(f"{where}: the checksum does not hold", "the lines before it are damaged, or a filter changed them")
    return note["rows"]
