"""Rows of a Parquet file, as lines of the stream: all of them, or what a query chooses."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htltools.errors import DataError
from htltools.formats.parquet.engine import engine, name, text
from htltools.formats.parquet.parquet_export import KEY
from htltools.formats.rows.jsonlines import compact_json
from htltools.formats.rows.schema import SCHEMA

if TYPE_CHECKING:
    import duckdb

BATCH = 2048  # rows fetched at once


class ParquetFile:
    """A Parquet file that DuckDB has open: the types of its columns, and queries of it.

    columns: types as SQL has them, by name; fields of structs by `struct.field`, in `nested`.
    """

    def __init__(self, connection: "duckdb.DuckDBPyConnection", folder: Path, path: Path):
        self.connection, self.path = connection, path
        link = folder / "rows.parquet"  # a name without letters that mean something to DuckDB
        link.symlink_to(path.absolute())
        self.source = f"read_parquet({text(str(link))})"
        described = connection.execute(f"DESCRIBE SELECT * FROM {self.source}").fetchall()
        self.columns: dict[str, str] = {own[0]: own[1] for own in described}
        self.nested: dict[str, dict[str, str]] = {}
        for column, kind in self.columns.items():
            if kind.startswith("STRUCT("):
                inner = connection.execute(f"DESCRIBE SELECT unnest({name(column)}) FROM {self.source}").fetchall()
                self.nested[column] = {own[0]: own[1] for own in inner}
        if "id" not in self.columns:
            raise DataError(f"{path} has no column id", "rows need a name each; see htl-stream(5)")
        self.about = self.metadata(link)

    def metadata(self, link: Path) -> dict[str, Any]:
        """History, models and number of rows, of a file that htl wrote; else empty."""
        found = self.connection.execute(f"SELECT value FROM parquet_kv_metadata({text(str(link))}) WHERE key = '{KEY}'").fetchall()
        try:
            about = json.loads(found[0][0]) if found else {}
        except ValueError:
            about = None
        if not isinstance(about, dict):
            raise DataError(f"{self.path}: its metadata {KEY} is no JSON object")
        return about

    def one(self, what: str, query: str = "", source: str | None = None, **values: Any) -> tuple:
        """The only line of a query of the file, such as "count(*)". values: of its parameters, $name."""
        found = self.connection.execute(f"SELECT {what} FROM {source or self.source} {query}", values or None).fetchone()
        assert found is not None
        return found

    def lines(self, query: str = "") -> Iterator[bytes]:
        """The rows as JSON, a line each, without what is null. query: WHERE, ORDER BY and LIMIT of SQL.

        Values that were written as JSON stand at the end as they are; those of other types are stripped of null by a merge patch.
        """
        as_they_are = [column for column, kind in self.columns.items() if kind == "JSON" and column != "id"]
        typed = ", ".join(f"{name(column)} := {name(column)}" for column in self.columns if column not in as_they_are)
        line = f"json_merge_patch('{{}}', to_json(struct_pack({typed})))::VARCHAR"
        for column in as_they_are:
            field = text(f",{compact_json(column).decode()}:")
            line = f"left({line}, -1) || coalesce({field} || {name(column)}::VARCHAR, '') || '}}'"
        found = self.connection.execute(f"SELECT {line} FROM {self.source} {query}")
        while batch := found.fetchmany(BATCH):
            for (own,) in batch:
                yield own.encode() + b"\n"


def parquet_lines(path: Path, query: str = "") -> Iterator[bytes]:
    """The rows of a Parquet file as lines of the stream, with the notes that it holds.

    Raises: DataError where it is damaged, or has no column id.
    """
    with engine(str(path)) as (connection, folder):
        opened = ParquetFile(connection, folder, path)
        yield from with_notes(opened.lines(query), opened.about)


def with_notes(lines: Iterator[bytes], about: Mapping[str, Any]) -> Iterator[bytes]:
    """The lines of rows between the notes that a Parquet file holds."""
    begin = {"htl": "begin", "schema": about.get("schema", SCHEMA), "by": about.get("by", "parquet"), "history": about.get("history", [])}
    yield compact_json(begin) + b"\n"
    for role, model in (about.get("models") or {}).items():
        yield compact_json({"htl": "model", "role": role, **model}) + b"\n"
    count = 0
    for line in lines:
        count += 1
        yield line
    yield compact_json({"htl": "end", "by": begin["by"], "rows": count, "skipped": about.get("skipped", 0)}) + b"\n"
