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


def print_table(headings: list[str], lines: list[list[str]], words_first: int | None = None) -> None:
    """Print a table: tab-separated, or on a terminal aligned, with as many columns as fit and without the prefixes of their names.

    Where not all fit, columns of texts come before those of numbers, behind the first `words_first` ones; None: the order stays.
    """
    if console.is_terminal(sys.stdout):
        columns, headings = headings, [name.rpartition(".")[2] for name in headings]
        if words_first is not None and fitting_count(headings, lines) < len(headings):
            order = sorted(range(len(headings)), key=lambda i: i >= words_first and is_number(lines, i))
            columns, headings = [columns[i] for i in order], [headings[i] for i in order]
            lines = [[line[i] for i in order] for line in lines]
        fitting = fitting_count(headings, lines)
        if fitting < len(columns):
            console.say(f"columns left out: {', '.join(columns[fitting:])}; choose with --columns")
        headings, lines = headings[:fitting], [line[:fitting] for line in lines]
    console.show_table(headings, lines)


def fitting_count(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> int:
    """How many columns fit on the terminal, three characters apart."""
    widths = [max(map(len, [heading, *(line[i] for line in lines)])) + 3 for i, heading in enumerate(headings)]
    return sum(total - 1 <= shutil.get_terminal_size().columns for total in accumulate(widths))


def is_number(lines: Sequence[Sequence[str]], column: int) -> bool:
    """Whether a column has numbers, and nothing else but gaps."""
    cells = [line[column] for line in lines if line[column]]
    return bool(cells) and all(cell[:1] in "+-.0123456789" for cell in cells)


def print_tsv(headings: list[str], lines: list[list[str]]) -> None:
    """Print a tab-separated table, whole also on a terminal, without control characters."""
    for line in [headings, *lines]:
        print("\t".join(map(console.printable, line)))
