"""Lists of ids: one a line, rows or other lines of JSON with an `id`, or a table with such a column."""

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from htltools.errors import DataError, MissingInput
from htltools.formats.rows.jsonlines import parsed_json

HEADINGS = "id", "image_id", "row_id"  # of the column of ids, the first that a table has
MARK = "mark"  # what the gallery of a report calls an image: wrong, keep or unsure


class IdList(NamedTuple):
    """The ids of a list, each once and in its order, with the mark of each where it has one. `name`: how the list is called."""

    name: str
    marks: dict[str, str | None]
    sha256: str = ""

    @property
    def ids(self) -> set[str]:
        """The ids."""
        return set(self.marks)

    @property
    def different_marks(self) -> list[str]:
        """The marks that the list has, in alphabetical order."""
        return sorted({mark for mark in self.marks.values() if mark})


def read_ids(path: Path) -> IdList:
    """The ids of a file; of FILE:MARK only those with that mark, where there is no file of that whole name.

    Raises: MissingInput; DataError where it is no text, a line has no id, or none has the mark.
    """
    name, colon, mark = str(path).rpartition(":")
    of_mark = mark if colon and not path.exists() and Path(name).exists() else None
    file = Path(name) if of_mark else path
    try:
        data = file.read_bytes()  # once: it may be a pipe
        lines = data.decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        raise MissingInput(f"the ids {file} are not there") from None
    except IsADirectoryError:
        raise DataError(f"the ids {file} are a folder", "name a file of ids: one a line, rows, or a table with a column id") from None
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise DataError(f"{file} holds no ids: it is no text in UTF-8") from None
    digest = hashlib.sha256(data).hexdigest()
    marks: dict[str, str | None] = {}
    for own, its_mark in entries(lines, file):
        marks.setdefault(own, its_mark)
    if of_mark is None:
        return IdList(str(file), marks, digest)
    chosen: dict[str, str | None] = {own: its_mark for own, its_mark in marks.items() if its_mark == of_mark}
    if not chosen:
        known = IdList("", marks).different_marks
        raise DataError(f"no id of {file} has the mark {of_mark!r}", f"there are {', '.join(known)}" if known else "it has no marks")
    return IdList(str(path), chosen, digest)


def entries(lines: list[str], file: Path) -> Iterator[tuple[str, str | None]]:
    """The id of each line, and its mark where it has one.

    Raises: DataError where a line of JSON has no id.
    """
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        return
    first = numbered[0][1]
    if first.lstrip().startswith("{"):
        yield from entries_of_json(numbered, file)
    elif delimiter := next((own for own in ",;\t" if named_column(first.split(own))), None):
        reader = csv.DictReader([line for _, line in numbered], delimiter=delimiter)
        reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        column = named_column(list(reader.fieldnames))
        try:
            for cells in reader:
                if own := (cells.get(column or "") or "").strip():
                    yield own, (cells.get(MARK) or "").strip() or None
        except csv.Error as error:
            raise DataError(f"{file} is no table that can be read ({error})") from None
    else:
        yield from ((line.strip(), None) for _, line in numbered)


def entries_of_json(numbered: list[tuple[int, str]], file: Path) -> Iterator[tuple[str, str | None]]:
    """As `entries`, of lines of JSON; notes of a stream of rows are passed over."""
    for number, line in numbered:
        try:
            value = parsed_json(line)
        except ValueError as error:
            raise DataError(f"{file}, line {number} is no JSON ({error})") from None
        own, mark = (value.get("id"), value.get(MARK)) if isinstance(value, dict) else (None, None)
        if isinstance(value, dict) and "htl" in value and own is None:
            continue
        if not isinstance(own, str):
            raise DataError(f"{file}, line {number} has no id", "each line should be an object with an id, as rows are")
        yield own, mark if isinstance(mark, str) else None


def named_column(cells: list[str]) -> str | None:
    """The heading of the column of ids; None where these cells are no headings with one.

    >>> named_column(["mark", " id"]), named_column(["ISIC_1"])
    ('id', None)
    """
    names = [cell.strip().strip('"') for cell in cells]
    return next((heading for heading in HEADINGS if heading in names), None)
