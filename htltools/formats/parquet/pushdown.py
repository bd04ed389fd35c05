"""Comparisons and orders of rows as SQL on a Parquet file, where they mean exactly what `rows.fields` makes of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from htltools.formats.parquet.engine import name, text
from htltools.formats.parquet.parquet_file import ParquetFile
from htltools.formats.rows.fields import NESTED, as_number, parsed_comparison

NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE"}
TIE = "substr(sha256('0/tie/' || id || CASE WHEN {repeat} > 0 THEN '/' || {repeat} ELSE '' END), 1, 14)"  # as sample_weights.tie_breakers


@dataclass(frozen=True)
class Column:
    """A field as SQL has it."""

    sql: str
    kind: str

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers."""
        return self.kind in NUMBERS


def column_of(file: ParquetFile, field: str) -> Column | None:
    """The column of a field; None where there is none, or several, so that it depends on the row which one counts."""
    found = [Column(name(field), file.columns[field])] if field in file.columns else []
    outer, dot, inner = field.partition(".")
    if dot and inner in file.nested.get(outer, {}):
        found.append(Column(f"{name(outer)}.{name(inner)}", file.nested[outer][inner]))
    found += [Column(f"{name(own)}.{name(field)}", file.nested[own][field]) for own in NESTED if field in file.nested.get(own, {})]
    open_ended = any(file.columns.get(own) == "JSON" for own in NESTED)  # may have a field of that name as well
    return found[0] if len(found) == 1 and not open_ended else None


def comparison(file: ParquetFile, where: str) -> str | None:
    """A comparison as SQL; None where types, or words with blanks, make its meaning depend on the row."""
    field, sign, wanted = parsed_comparison(where)
    column, number = column_of(file, field), as_number(wanted)
    if column is None or re.search(r"\s|^$", wanted):
        return None
    sign = "=" if sign == "==" else sign
    if column.is_number and number is not None and abs(number) < float("inf"):
        test = f"{column.sql} {sign} {number!r}::DOUBLE"
    elif column.kind == "VARCHAR" and sign in ("=", "!="):
        test = f"{column.sql} {sign} {text(wanted)}"
    else:
        return None
    return f"coalesce({test}, {str(sign == '!=').lower()})"


def order(file: ParquetFile, field: str, *, ascending: bool) -> tuple[str, Column] | None:
    """The order of rows, highest or lowest first, ties by a hash of their names, those without the field last, and its column.

    None where values are of several types.
    """
    column = column_of(file, field)
    if column is None or not (column.is_number or column.kind == "VARCHAR") or file.columns["id"] != "VARCHAR":
        return None
    tie = TIE.format(repeat="coalesce(repeat, 0)" if "repeat" in file.columns else "0")
    direction = "ASC" if ascending else "DESC"
    return f"ORDER BY {column.sql} {direction} NULLS LAST, {tie} {direction}", column


def conjunction(tests: Sequence[str]) -> str:
    """WHERE of all tests."""
    return f"WHERE {' AND '.join(tests)}" if tests else ""
