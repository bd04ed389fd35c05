"""The checksum in an end note, which shows whether lines of a stream are those that htl wrote, byte for byte."""

import hashlib
from collections.abc import Iterable
from typing import Any

from htltools.errors import DataError
from htltools.formats.rows.jsonlines import compact_json, parsed_json


def end_note_with_checksum(note: dict[str, Any], before: "hashlib._Hash") -> dict[str, Any]:
    """An end note with `sha256`, the digest of all lines since the begin note (`before`) and of the end note without that key."""
    digest = before.copy()
    digest.update(compact_json(note) + b"\n")
    return note | {"sha256": digest.hexdigest()}


def check_stream_checksum(lines: Iterable[bytes], name: str) -> int:
    """The number of rows in one or several outputs of commands, each from its begin note to its end note, once their checksums hold.

    Raises: DataError where one does not hold or is missing.
    """
    rows, closed, before = 0, 0, None  # before: digest of the lines since a begin note
    for number, line in enumerate(lines, 1):
        if line.startswith(b'{"htl":"begin",') and before is None:
            before = hashlib.sha256(line)
        elif before is None:
            raise DataError(f"{name}, line {number} stands outside of begin and end notes", "only what htl wrote itself can be checked")
        elif line.startswith(b'{"htl":"end",'):
            rows += rows_in_end_note(line, before, f"{name}, line {number}")
            closed, before = closed + 1, None
        else:
            before.update(line)
    if before is not None or not closed:
        raise DataError(f"{name} was cut: " + ("its last line is no end note" if closed or before else "it is empty"))
    return rows


def rows_in_end_note(line: bytes, before: "hashlib._Hash", where: str) -> int:
    """The number of rows that an end note counts. `before`: digest of the lines since the begin note.

    Raises: DataError where its checksum does not hold.
    """
    try:
        note = parsed_json(line)
    except ValueError:
        note = {}
    if note.pop("sha256", None) is None:
        raise DataError(f"{where}: the end note carries no checksum", "an older htl wrote it, or it is damaged")
    if compact_json(end_note_with_checksum(note, before)) + b"\n" != line:
        raise DataError(f"{where}: the checksum does not hold", "the lines before it are damaged, or a filter changed them")
    return note["rows"]
