"""The stream: rows and notes as JSON Lines on stdin and stdout. See htl-stream(5)."""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from pydantic_core import from_json

from htltools.errors import DataError, MissingInput
from htltools.formats.remote.address import shown
from htltools.formats.remote.cache import local_path
from htltools.formats.rows.jsonlines import compact_json, parsed_json, writing
from htltools.formats.rows.provenance import Run, file_digest
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import NOTES, SCHEMA, SPLITS, Sample
from htltools.formats.rows.seen_names import SeenNames
from htltools.formats.rows.spooled import SpooledRows
from htltools.formats.rows.stream_checksum import end_note_with_checksum
from htltools.formats.rows.validation import check_row, check_schema


class RowReader:
    """Iterates over the rows of a stream, and keeps the contents of its notes.

    `history`, `models` (path by role, the last one counts), `digests` (sha256 by role), `skipped` and `parts` (notes of parts) are
    complete once all rows are read.
    """

    def __init__(self, lines: Iterable[bytes], *, name: str = "stdin", partial: bool = False):
        self.lines, self.name, self.partial = lines, name, partial
        self.history: list[dict[str, Any]] = []
        self.models: dict[str, str] = {}
        self.digests: dict[str, str | None] = {}
        self.skipped = 0
        self.parts: list[dict[str, Any]] = []

    def __iter__(self) -> Iterator[Row]:
        seen = SeenNames()
        begun = ended = 0
        opened = False
        for number, line in enumerate(self.lines, 1):
            if not line.strip():
                continue
            row = self.parsed(line, number)
            if row is None:
                break
            kind = row.get("htl")
            opened |= number == 1 and kind == "begin"
            begun += kind == "begin"
            ended += kind == "end"
            if kind is not None:
                self.take_note(row, number)
                continue
            if None in row.values():  # null: absent
                row = {key: value for key, value in row.items() if value is not None or key not in Sample.model_fields}
            check_row(row, f"{self.name}, line {number}")
            if twice := seen.add(number, row["id"], row.get("repeat", 0)):
                raise self.repeated_id(*twice)
            yield Row(row)
        if twice := seen.repeated():
            raise self.repeated_id(*twice)
        if opened and begun != ended and not self.partial:
            raise DataError(
                f"{self.name} was cut: {begun} begin notes, {ended} end notes",
                "look at the command before, or accept what there is with --partial",
            )

    def repeated_id(self, number: int, name: str) -> DataError:
        """The error for a row whose id stands in an earlier line."""
        return DataError(f"{self.name}, line {number}: the id {name!r} stands twice", "every row needs an id of its own")

    def parsed(self, line: bytes, number: int) -> dict[str, Any] | None:
        """The object on a line; None for a half line at the end, with --partial."""
        try:
            row = quickly_parsed(line)
        except ValueError as error:
            if not line.endswith(b"\n") and b"\0" not in line:
                if self.partial:
                    return None
                raise DataError(f"{self.name} ends in half a line (line {number})", "accept the lines before it with --partial") from None
            raise DataError(f"{self.name}, line {number} is no JSON ({error})", remedy_for(line, number)) from None
        if not isinstance(row, dict):
            raise DataError(f"{self.name}, line {number} is no row: it should be a JSON object")
        return row

    def take_note(self, note: dict[str, Any], number: int) -> None:
        """Keep the contents of a note; notes of unknown kinds are ignored."""
        kind = NOTES.get(note["htl"]) if isinstance(note["htl"], str) else None
        if kind is None:
            return
        check_schema(kind, note, f"{self.name}, line {number}")
        match note["htl"]:
            case "begin":
                if note.get("schema", SCHEMA) > SCHEMA:
                    raise DataError(f"{self.name} was written by a newer htl (schema {note['schema']}, known: {SCHEMA})", "upgrade htl")
                history = note.get("history", [])
                whole = all(record in history for record in self.history)  # it repeats all records known before, in its order
                self.history = history if whole else self.history + [record for record in history if record not in self.history]
            case "end":
                self.skipped += note.get("skipped", 0)
            case "model":
                self.models[note["role"]] = note["path"]
                self.digests[note["role"]] = note.get("sha256")
            case "part":
                self.parts.append(note)


def remedy_for(line: bytes, number: int) -> str | None:
    """What to do about a line that is no JSON; None where that is not known."""
    if number == 1 and line.startswith(b"PAR1"):
        return "it is Parquet, which is no stream: name the file"
    if b"\0" in line:
        return "rows are separated by newlines, not by NUL: tr '\\0' '\\n' changes that"
    if number == 1 and line.strip() in (b"{", b"["):
        return "a row is one line: jq writes them so with -c"
    return None


def quickly_parsed(line: bytes) -> Any:
    """The value of one line of JSON, by pydantic's parser; lines that it refuses are read (a byte order mark) or explained by Python's.

    Raises: ValueError where the line is no JSON, or holds NaN or Infinity.
    """
    try:
        return from_json(line, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        value = parsed_json(line)
        json.dumps(value, ensure_ascii=False).encode()  # halves of a pair of surrogates are no text
        return value


class RowWriter:
    """Writes the output of one command: begin, model notes, rows, end. The end note is written only after success."""

    def __init__(self, run: Run, history: list[dict], *, skipped: int = 0, out: BinaryIO | None = None):
        self.run, self.history, self.skipped = run, history, skipped
        self.out = out or sys.stdout.buffer
        self.rows = 0
        self.digest = hashlib.sha256()

    def __enter__(self) -> "RowWriter":
        begin = {"htl": "begin", "schema": SCHEMA, "by": self.run.id}
        self.line(begin | ({"history": self.history} if self.history else {}))
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            end = {"htl": "end", "by": self.run.id, "rows": self.rows, "skipped": self.skipped}
            self.line(end_note_with_checksum(end, self.digest))
            with writing():
                self.out.flush()

    def models(self, paths: dict[str, str]) -> None:
        """Write a note for each model, by role.

        Raises: MissingInput where one is not there.
        """
        for role, path in paths.items():
            local = local_path(path)
            if not local.is_file():  # an untrusted note may name a pipe, or a device that never ends
                raise MissingInput(f"the {role} model {path} is not there", "drop its note, or name another")
            self.line({"htl": "model", "role": role, "path": shown(path), "sha256": file_digest(local)})

    def write(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write rows."""
        if isinstance(rows, SpooledRows):
            for line in rows.lines():
                self.write_line(line + b"\n")
            return
        for row in rows:
            self.line(row)
            self.rows += 1

    def write_line(self, line: bytes) -> None:
        """Write a row as the line that it was written as before."""
        self.raw(line)
        self.rows += 1

    def flush(self) -> None:
        """Pass the lines written so far to the next command."""
        with writing():
            self.out.flush()

    def line(self, value: dict[str, Any]) -> None:
        """Write a row or a note."""
        self.raw(compact_json(value) + b"\n")

    def raw(self, line: bytes) -> None:
        """Write a line as it is."""
        self.digest.update(line)
        with writing():
            self.out.write(line)


def check_groups(rows: Iterable[Row], remedy: str = "keep every group on one side") -> None:
    """Refuse a group that stands in two splits: metrics would be measured on patients or lesions that a model was fitted to.

    Raises: DataError naming the first such group.
    """
    home: dict[str, str] = {}
    suspects = None
    if isinstance(rows, SpooledRows):
        suspects = groups_of_two_splits(rows)
        rows = rows if suspects else ()
    for row in rows:
        if suspects is not None and hash(row.group) not in suspects:
            continue
        if row.split and (first := home.setdefault(row.group, row.split)) != row.split:
            raise DataError(f"the group {row.group!r} stands in two splits, {first} and {row.split}", remedy)


def groups_of_two_splits(rows: Iterable[Row]) -> set[int]:
    """Hashes of the groups that stand in two splits, found in 9 bytes a row."""
    import numpy as np

    known = ((hash(row.group), SPLITS.index(row.split)) for row in rows if row.split)
    pairs = np.unique(np.fromiter(known, [("group", np.int64), ("split", np.int8)]))
    groups, counts = np.unique(pairs["group"], return_counts=True)
    return set(groups[counts > 1].tolist())


def check_predictions(rows: Sequence[Row]) -> None:
    """Refuse rows of which some hold one predicted box (`predicted`) and others several objects (`detected`): their hardness is measured by
    two formulas. Rows that hold both were scored by models of both kinds.

    Raises: DataError naming one row of each.
    """
    box = objects = None
    for row in rows:
        if row.predicted and row.detected:
            return
        box = box or (row.id if row.predicted else None)
        objects = objects or (row.id if row.detected else None)
    if box is not None and objects is not None:
        cause = f"rows mix predictions of two kinds: {box!r} has one box (predicted), {objects!r} several objects (detected)"
        raise DataError(cause, "score all rows in one run, or the parts with one of --objects and --one-box")
