"""The text of CSV files as spreadsheets and people write it: encodings, delimiters, quotes, decimal commas and words for missing values."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from htltools.errors import DataError, MissingInput

DELIMITERS = ",;\t|"
MISSING = {*("", "na", "n/a", "n.a.", "#n/a", "nan", "none", "null", "nil", "<na>", "unknown", "missing", "not available"), *"-–—?.", "--"}
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
SPREADSHEETS = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"  # Office files, new and old
SEPARATOR = re.compile(r'"?sep=([^"\w\r\n])"?\s*(?:\r\n|\r|\n)', re.IGNORECASE)
QUOTED = re.compile(r'"[^"]*"')
DECIMAL_COMMA = re.compile(r"[-+]?\d+(,\d+)?([eE][-+]?\d+)?")
LONGEST_CELL = 2**31 - 1
EXAMPLES = 3  # images that a message names


@dataclass
class Table:
    """The cells of a table by column: stripped, and "" where a value is missing.

    lines: the number of the line that each row begins in. notes: how the text was read, and which words count as missing.
    """

    name: str
    header: list[str]
    lines: list[int]
    cells: dict[str, list[str]]
    notes: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)  # of rows, where they are from several tables

    def place(self, row: int) -> str:
        """Where a row stands, for messages."""
        return f"{self.places[row] if self.places else self.name}, line {self.lines[row]}"


def read_text(path: Path, missing: Collection[str] = ()) -> Table:
    """The table in a file; the words `missing` are missing values beside MISSING.

    Raises: MissingInput; DataError where it is no table, or a quote is left open.
    """
    try:
        data = path.read_bytes()  # once: it may be a pipe
    except FileNotFoundError:
        raise MissingInput(f"the table {path} is not there") from None
    except IsADirectoryError:
        raise DataError(f"the table {path} is a folder", "name a folder of annotation files with --annotations") from None
    text, notes = decoded_text(data, path)
    first = SEPARATOR.match(text)
    delimiter = first[1] if first else likely_delimiter(text)
    rows = list(quoted_rows(text[first.end() :] if first else text, delimiter, path, 1 + bool(first)))
    header = checked_header(rows.pop(0)[1] if rows else [], path)
    for line, cells in rows:
        if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
            raise DataError(f"{path}, line {line}: {len(cells)} cells under {len(header)} columns")
    columns = list(zip_longest(header, *(cells for _, cells in rows), fillvalue=""))[: len(header)]
    words, counts = MISSING | {word.strip().casefold() for word in missing}, Counter[str]()
    by_name, nameless = {}, 0
    for name, *column in columns:
        cells = list(map(str.strip, column))
        absent = {cell for cell in set(cells) if cell.casefold() in words}
        if absent - {""}:
            counts.update(f"{cell} in {name}" for cell in cells if cell and cell in absent)
            cells = ["" if cell in absent else cell for cell in cells]
        if name:
            by_name[name] = cells if delimiter == "," else with_points(cells)
        nameless += not name and any(cells)
    if counts:
        notes.append(f"missing values of {path}: " + ", ".join(f"{count} {word}" for word, count in sorted(counts.items())))
    if nameless:
        notes.append(f"columns of {path} without a name are not used: {nameless}")
    return Table(str(path), [name for name in header if name], [line for line, _ in rows], by_name, notes)


def decoded_text(data: bytes, path: Path) -> tuple[str, list[str]]:
    """The text of a file in UTF-8, UTF-16 or, where it is neither, Windows-1252, which is noted.

    Raises: DataError where it is none of them.
    """
    if data.startswith(SPREADSHEETS):
        raise DataError(f"{path} is a spreadsheet, and no table of text", "save it as CSV in UTF-8")
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), None)
    if not encoding and 0 in data[:4]:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    notes = []
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        try:
            text = "\0" if encoding else data.decode("cp1252")
        except UnicodeDecodeError:
            text = "\0"
        notes.append(f"{path} is no UTF-8, and was read as Windows-1252 (byte {error.start})")
    if "\0" in text:
        raise DataError(f"{path} is no text in UTF-8, UTF-16 or Windows-1252", "save it as CSV in UTF-8")
    return text, notes


def likely_delimiter(text: str) -> str:
    """The delimiter that the first line with a word has most of, outside of quotes.

    >>> likely_delimiter("image;a, b;age\\n"), likely_delimiter('"a;b;c",d')
    (';', ',')
    """
    line = next((line for line in io.StringIO(text, newline=None) if line.strip()), "")
    return max(DELIMITERS, key=QUOTED.sub("", line).count)


def quoted_rows(text: str, delimiter: str, path: Path, line: int) -> Iterator[tuple[int, list[str]]]:
    """(number of the line it begins in, cells) of each row that is not blank.

    Raises: DataError where a quote is not closed, or closes lines later and so swallows rows.
    """
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns, begin = 0, line
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise open_quote(path, begin, str(error)) from None
        end = line + reader.line_num
        if end - begin > 1 and columns > 2 and any(swallows(cell, delimiter, columns) for cell in cells):
            raise open_quote(path, begin, f"it swallows the lines to {end - 1}")
        if any(cell.strip() for cell in cells):
            columns = columns or len(cells)
            yield begin, cells
        begin = end


def swallows(cell: str, delimiter: str, columns: int) -> bool:
    """Whether a cell of several lines holds a line that looks like a row: as many delimiters, and none of them before a blank."""
    return any(line.count(delimiter) == columns - 1 and f"{delimiter} " not in line for line in cell.splitlines()[1:])


def open_quote(path: Path, line: int, reason: str) -> DataError:
    """The error for a quote that is not closed in the row that begins in `line`."""
    return DataError(f'{path}, line {line}: a quote (") opens and is not closed ({reason})', "close it, or write a quote in a cell twice")


def checked_header(cells: list[str], path: Path) -> list[str]:
    """The names of the columns, "" where one has none.

    Raises: DataError where there are none, or one stands twice.
    """
    header = [name.strip() for name in cells]
    if not any(header):
        raise DataError(f"{path} is empty")
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice:
        raise DataError(f"{path}: the column {twice!r} stands twice")
    return header


def with_points(cells: list[str]) -> list[str]:
    """The cells with decimal points, where all of them are numbers and some have decimal commas.

    >>> with_points(["1,5", "2", ""]), with_points(["1,5", "2.5"])
    (['1.5', '2', ''], ['1,5', '2.5'])
    """
    distinct = {cell for cell in cells if cell}
    if not any("," in cell for cell in distinct) or not all(DECIMAL_COMMA.fullmatch(cell) for cell in distinct):
        return cells
    return [cell.replace(",", ".") for cell in cells]


def some_of(names: Sequence[str]) -> str:
    """How many images, with the names of some."""
    return f"{len(names)} images ({', '.join(sorted(names)[:EXAMPLES])}{', ...' if names[EXAMPLES:] else ''})"
