"""Several tables as one: lines of one image stand beside each other, and tables without images are joined by a column they share."""

from collections.abc import Sequence
from dataclasses import replace

from htltools.errors import DataError
from htltools.formats.csv.column_names import GROUPS, plain, plain_names
from htltools.formats.csv.roles import Columns, ImagesByName, name_column, tried
from htltools.formats.csv.text import Table


def joined(tables: Sequence[Table], asked: Columns, images: ImagesByName | None) -> tuple[Table, str | None]:
    """One table of all lines, and its column of image names; None where the one table has none.

    A table without names of images, or where none of them is an image's, adds its columns to the lines that have the same values in
    the columns shared (patient_id, study_id).

    Raises: DataError where a table has neither names of images nor a shared column, or one value of it stands in several lines.
    """
    if len(tables) == 1:
        return tables[0], name_column(tables[0], asked, images)
    own = [replace(asked, id=asked.id if asked.id in table.header else None) for table in tables]
    if asked.id and not any(each.id for each in own):
        raise DataError(f"no table has a column {asked.id!r}")
    columns = [name_column(table, each, images) for table, each in zip(tables, own, strict=True)]
    named = [
        (table, column)
        for table, column in zip(tables, columns, strict=True)
        if column and (images is None or images.count(tried(table.cells[column])))
    ]
    named = named or [(table, column) for table, column in zip(tables, columns, strict=True) if column][:1]
    if not named:
        raise DataError(f"{tables[0].name} has no column of image names", "name it with --id-column")
    whole, column = concatenated(named)
    for table in tables:
        if all(table is not other for other, _ in named):
            whole = with_columns(whole, table)
    return whole, column


def concatenated(named: Sequence[tuple[Table, str]]) -> tuple[Table, str]:
    """The lines of all tables under each other, with their columns of image names as one."""
    first = named[0][1]
    cells: dict[str, list[str]] = {}
    whole = Table(", ".join(table.name for table, _ in named), [], [], cells)
    for table, column in named:
        begin, count = len(whole.lines), len(table.lines)
        for name in table.header:
            filled = cells.setdefault(first if name == column else name, [""] * begin)
            if len(filled) == begin:  # a column that has the name of the first one's images stays what it is
                filled += table.cells[name]
        whole.lines += table.lines
        whole.places += table.places or [table.name] * count
        whole.notes += table.notes
        for filled in cells.values():
            filled += [""] * (begin + count - len(filled))
    whole.header = list(cells)
    return whole, first


def with_columns(whole: Table, table: Table) -> Table:
    """A table with the columns of another beside it, where the values in the columns that both have are the same.

    Raises: DataError.
    """
    here, there = plain_names(whole.header), plain_names(table.header)
    shared = [key for key in there if key in here]
    shared = [key for key in shared if key in set(map(plain, GROUPS))] or [key for key in shared if key.endswith("id")]
    if not shared:
        raise DataError(f"{table.name} has no column of image names, and shares no column with {whole.name}", "name it with --id-column")
    rows: dict[tuple[str, ...], int] = {}
    for row, values in enumerate(zip(*(keys_of(table.cells[there[key]]) for key in shared), strict=True)):
        if all(values) and rows.setdefault(values, row) != row:
            raise DataError(f"{table.place(row)}: {' and '.join(values)} stands twice as {' and '.join(there[key] for key in shared)}")
    beside = [rows.get(values) for values in zip(*(keys_of(whole.cells[here[key]]) for key in shared), strict=True)]
    fresh = [name for key, name in there.items() if key not in here]
    added = {name: ["" if row is None else table.cells[name][row] for row in beside] for name in fresh}
    joined_lines, lines = len(set(beside) - {None}), len(table.lines)
    note = f"{table.name} is joined by {' and '.join(there[key] for key in shared)}: {joined_lines} of {lines} lines have images"
    return replace(
        whole,
        name=f"{whole.name}, {table.name}",
        header=[*whole.header, *fresh],
        cells=whole.cells | added,
        notes=[*whole.notes, *table.notes, note],
        places=whole.places or [whole.name] * len(whole.lines),
    )


def keys_of(cells: Sequence[str]) -> list[str]:
    """The cells without the ".0" that a column of whole numbers gets where some are missing.

    >>> keys_of(["7.0", "7", "v1.0"])
    ['7', '7', 'v1.0']
    """
    return [cell[:-2] if cell.endswith(".0") and cell[:-2].isdecimal() else cell for cell in cells]
