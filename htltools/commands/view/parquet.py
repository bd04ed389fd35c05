"""`view` of a Parquet file: the engine chooses and sorts, and only chosen rows are read."""

from collections.abc import Sequence
from pathlib import Path

from htltools.commands.view.selection import Query, Selected, say_ties
from htltools.formats.parquet.engine import engine
from htltools.formats.parquet.parquet_file import ParquetFile, with_notes
from htltools.formats.parquet.pushdown import Column, column_of, comparison, conjunction, order
from htltools.formats.rows.fields import parsed_comparison
from htltools.formats.rows.spooled import kept_rows
from htltools.formats.rows.stream import RowReader


def selected_in_parquet(path: Path, query: Query, limit: int | None) -> tuple[Selected, RowReader] | None:
    """The rows of a Parquet file that a query chooses, as `Query.select` would, and their reader.

    None where it takes a look at every row: to explain why none matches, or where a field has values of several types.

    Raises: DataError where the file is damaged, or a chosen row is bad.
    """
    with engine(str(path)) as (connection, folder):
        file = ParquetFile(connection, folder, path)
        sort = query.sort and whole_column(file, query.sort)
        columns = None if query.columns is None else [whole_column(file, name) for name in query.columns]
        tests = [comparison(file, text) for text in query.where]
        sorting = order(file, sort, ascending=query.ascending) if sort else None
        if (query.sort and not sorting) or (columns and None in columns) or None in tests or (query.split and "split" not in file.columns):
            return None
        used = [
            column for name in (*query.compared, *([sort] if sort else []), *(columns or [])) if name and (column := column_of(file, name))
        ]
        if not is_plain(file, query, used, [test for test in tests if test]):
            return None
        if query.split:
            tests.append(f"split = '{query.split}'")
        where = conjunction([test for test in tests if test])
        (matched,) = file.one("count(*)", where)
        ordered = f"{where} {sorting[0]}" if sorting else where
        if sorting and sort and limit and limit < matched:
            explain_ties(file, ordered, where, sorting[1], sort, limit)
        reader = RowReader(with_notes(file.lines(f"{ordered} LIMIT {limit}" if limit else ordered), file.about), name=str(path))
        rows = kept_rows(reader)
    named = None if columns is None else [name for name in columns if name]
    return Selected(rows, matched, sort, named, query.ascending), reader


def whole_column(file: ParquetFile, text: str) -> str | None:
    """The field of that name, else the only hardness column that begins so; None where that is not clear."""
    column = column_of(file, text)
    if column and file.one(f"count({column.sql})")[0]:
        return text
    start = text.removeprefix("hardness.")
    alike = [name for name in file.nested.get("hardness", {}) if start and name.startswith(start)]
    return alike[0] if not column and len(alike) == 1 and column_of(file, alike[0]) else None


def is_plain(file: ParquetFile, query: Query, used: Sequence[Column], tests: Sequence[str]) -> bool:
    """Whether every field that is named is there, each equality is met by a row, and each inequality excludes one: else it is explained."""
    signs = [parsed_comparison(text)[1] for text in query.where]
    total, *counts = file.one(
        ", ".join(["count(*)", *(f"count({column.sql})" for column in used), *(f"count_if({test})" for test in tests)])
    )
    met = counts[len(used) :]
    explained = any((sign in ("=", "==") and not count) or (sign == "!=" and count == total) for sign, count in zip(signs, met))
    return total > 0 and all(counts[: len(used)]) and not explained


def explain_ties(file: ParquetFile, ordered: str, where: str, column: Column, sort: str, limit: int) -> None:
    """Say how many rows are no higher than the first that the limit leaves out."""
    (value,) = file.one(column.sql, f"{ordered} LIMIT 1 OFFSET {limit}")
    same = f"{column.sql} IS NOT DISTINCT FROM $value"
    tied = file.one(f"count_if({same})", where, value=value)[0]
    (shown,) = file.one("count_if(same)", source=f"(SELECT {same} AS same FROM {file.source} {ordered} LIMIT {limit})", value=value)
    say_ties(shown, tied, sort, limit)
