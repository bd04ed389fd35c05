"""Tables of `view`: fields of rows, fitted to the terminal."""

import shutil
import sys
from collections.abc import Sequence
from itertools import accumulate

from htltools import console
from htltools.formats.rows.fields import NESTED, cell, field
from htltools.formats.rows.row import Row

USUAL = "id", "split", "label", "weight"


def field_table(rows: Sequence[Row], columns: list[str] | None, first: str | None = None) -> tuple[list[str], list[list[str]]]:
    """Headings and lines of fields: the columns asked for, or all usual ones that the rows have, `first` right after the id."""
    if columns is None:
        ordered = sorted(rows, key=lambda row: row.unique_name)  # so that the order of columns does not depend on that of rows
        nested = [f"{outer}.{name}" for outer in NESTED for name in dict.fromkeys(name for row in ordered for name in row.get(outer, {}))]
        columns = [name for name in USUAL if any(name in row for row in rows)] + nested
        if first:
            columns.sort(key=lambda name: (name != "id", name not in (first, f"meta.{first}", f"hardness.{first}")))
    return columns, [[cell(field(row, name)) for name in columns] for row in rows]


def print_table(headings: list[str], lines: list[list[str]]) -> None:
    """Print a table: tab-separated, or on a terminal aligned, with as many columns as fit and without the prefixes of their names."""
    if console.is_terminal(sys.stdout):
        columns, headings = headings, [name.rpartition(".")[2] for name in headings]
        widths = [max(map(len, [heading, *(line[i] for line in lines)])) + 3 for i, heading in enumerate(headings)]
        fitting = sum(total - 1 <= shutil.get_terminal_size().columns for total in accumulate(widths))
        if fitting < len(columns):
            console.say(f"columns left out: {', '.join(columns[fitting:])}; choose with --columns")
        headings, lines = headings[:fitting], [line[:fitting] for line in lines]
    console.show_table(headings, lines)


def print_tsv(headings: list[str], lines: list[list[str]]) -> None:
    """Print a tab-separated table, whole also on a terminal, without control characters."""
    for line in [headings, *lines]:
        print("\t".join(map(console.printable, line)))
