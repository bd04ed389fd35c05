"""Rows as a Parquet file: a column for each field, `meta`, `hardness` and `predicted` as structs."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from htltools.errors import DataError
from htltools.formats.files.atomic import replacing
from htltools.formats.parquet.engine import engine, name, text
from htltools.formats.rows.jsonlines import compact_json
from htltools.formats.rows.row import Row

KEY = "htl"  # of the metadata that holds history, models and the number of rows
STRUCTS = "meta", "hardness", "predicted"
TYPES = {
    **dict.fromkeys(("id", "group", "split", "store", "file", "label"), "VARCHAR"),
    **dict.fromkeys(("index", "frame", "repeat"), "BIGINT"),
    **dict.fromkeys(("pseudo", "refer"), "BOOLEAN"),
    **{"size": "BIGINT[]", "boxes": "DOUBLE[][]", "labels": "VARCHAR[]", "weight": "DOUBLE", "detected": "JSON"},
}
OF_VALUES = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "VARCHAR"}
MOST_FIELDS = 500  # of a struct; one of more is written as JSON
ROW_GROUP = 32_768
LONGEST = 2**26  # bytes of a row


class ColumnTypes:
    """The type of each column, found while rows go by. Values of several types, lists and objects are written as JSON."""

    def __init__(self) -> None:
        self.columns: dict[str, str] = {}
        self.fields: dict[str, dict[str, str]] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Take account of a row."""
        for key, value in row.items():
            if key in STRUCTS:
                fields = self.fields.setdefault(key, {})
                for inner, own in value.items():
                    add_type(fields, inner, "DOUBLE[]" if key == "predicted" else "DOUBLE" if key == "hardness" else type_of(own))
            else:
                add_type(self.columns, key, TYPES.get(key) or type_of(value))

    def in_sql(self) -> dict[str, str]:
        """The type of each column as SQL has it.

        Raises: DataError where names of columns differ in case alone.
        """
        found = {key: TYPES.get(key) or own or "JSON" for key, own in self.columns.items()} | {
            key: struct(fields) for key, fields in self.fields.items()
        }
        alike = first_alike(found)
        if alike:
            raise DataError(f"the fields {alike[0]!r} and {alike[1]!r} differ in case alone", "Parquet needs names that differ: rename one")
        order = [*TYPES, *STRUCTS]
        return dict(sorted(found.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)))


def add_type(types: dict[str, str], key: str, own: str | None) -> None:
    """Add the type of a value to those of its column; None says nothing."""
    before = types.setdefault(key, "")
    if own and own != before:
        types[key] = "JSON" if before else own


def type_of(value: Any) -> str | None:
    """The type of a value."""
    if value is None:
        return None
    own = OF_VALUES.get(type(value), "JSON")
    return "JSON" if own == "BIGINT" and not -(2**63) <= value < 2**63 else own


def struct(fields: Mapping[str, str]) -> str:
    """The type of a struct; JSON where it has no field or very many, or names that are empty or differ in case alone."""
    if not fields or len(fields) > MOST_FIELDS or "" in fields or first_alike(fields):
        return "JSON"
    return f"STRUCT({', '.join(' '.join((name(key), own or 'JSON')) for key, own in fields.items())})"


def first_alike(names: Iterable[str]) -> tuple[str, str] | None:
    """The first two names that differ in case alone."""
    seen: dict[str, str] = {}
    for each in names:
        if (before := seen.setdefault(each.lower(), each)) != each:
            return before, each
    return None


def write_parquet(path: Path, rows: Iterable[Row], about: Mapping[str, Any]) -> int:
    """Write rows as Parquet, in bounded memory, and give their number. `about`: history, models and skipped, for `parquet_file`.

    Raises: CannotCreate, StorageError; DataError where names of fields differ in case alone.
    """
    types, count = ColumnTypes(), 0
    with replacing(path) as temporary, engine(str(path)) as (connection, folder):
        spool = folder / "rows.jsonl"
        with spool.open("wb", buffering=2**20) as file:
            for row in rows:
                types.add(row)
                file.write(compact_json(row) + b"\n")
                count += 1
        columns = types.in_sql() or {"id": "VARCHAR"}
        listed = ", ".join(f"{text(key)}: {text(own)}" for key, own in columns.items())
        source = f"read_json({text(str(spool))}, format = 'newline_delimited', maximum_object_size = {LONGEST}, columns = {{{listed}}})"
        metadata = text(json.dumps({**about, "rows": count}))
        made = folder / "made.parquet"  # a name without letters that mean something to it
        how = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP}, KV_METADATA {{{KEY}: {metadata}}}"
        connection.execute(f"COPY (SELECT * FROM {source}) TO {text(str(made))} ({how})")
        moved(made, temporary)
    return count


def moved(made: Path, target: Path) -> None:
    """Copy a finished file to its place, which may be another file system, or a pipe."""
    import shutil

    with made.open("rb") as source, target.open("wb") as file:
        shutil.copyfileobj(source, file, 2**20)
