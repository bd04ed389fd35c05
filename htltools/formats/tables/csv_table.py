"""Tables of images: a CSV of ids, groups, splits, labels, boxes and metadata."""

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from itertools import islice
from pathlib import Path

from htltools.errors import DataError, MissingInput
from htltools.formats.rows.schema import OBJECT, SIDE
from htltools.formats.tables.facts import SPLIT_WORDS, Facts, image_key

NAMES = {
    "id": ("image_id", "image", "id", "image_name", "filename", "file_name", "file", "isic_id", "isic_file", "name", "path"),
    "group": ("group_id", "patient_id", "lesion_id"),
    "split": ("split", "subset", "fold_name"),
    "label": ("label", "dx", "diagnosis", "class", "target", "dx2017"),
}
XYXY = (
    ("bbox_x0", "bbox_y0", "bbox_x1", "bbox_y1"),
    ("x0", "y0", "x1", "y1"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
)
XYWH = (("x", "y", "w", "h"), ("x", "y", "width", "height"), ("bbox_x", "bbox_y", "bbox_w", "bbox_h"))
NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d+)?([eE][+-]?\d{1,3})?")
ABSENT = {"", "nan"}


@dataclass(frozen=True)
class Columns:
    """The names of the columns of each role; None: there is none. `box_format`: xyxy or xywh."""

    id: str | None = None
    group: str | None = None
    split: str | None = None
    label: str | None = None
    boxes: Sequence[tuple[str | None, Sequence[str]]] | None = None  # sets of four columns, each with the class of its box
    box_format: str | None = None

    @property
    def taken(self) -> set[str]:
        """The columns that have a field of their own in a row."""
        return {
            name
            for name in (self.id, self.group, self.split, self.label, *(name for _, names in self.boxes or () for name in names))
            if name
        }


def read_table(path: Path, asked: Columns = Columns()) -> tuple[dict[str, Facts], Columns]:
    """Facts by image key (see `image_key`), and the columns that they are from. Several lines of one id are several boxes.

    Raises: MissingInput; DataError where the file is no table, lacks a column asked for, or holds a bad box or split.
    """
    data = table_bytes(path)
    lines = table_lines(data, path)
    header = checked_header(next(lines, (1, []))[1], path)
    columns = recognised_columns(header, asked, path)
    assert columns.id is not None
    others = [name for name in header if name and name not in columns.taken]
    numeric = numeric_columns(lines, header, others, path)
    kinds = {name: name in numeric for name in others}
    words: dict[str, str] = {}  # each word once in memory, however many images have it
    by_key: dict[str, Facts] = {}
    for number, cells in islice(table_lines(data, path), 1, None):
        line = dict(zip(header, padded_cells(cells, len(header)), strict=True))
        if not line[columns.id]:
            raise DataError(f"{path}, line {number}: no {columns.id}")
        facts = line_facts(line, columns, kinds, words, f"{path}, line {number}")
        known = by_key.setdefault(image_key(line[columns.id]), facts)
        if known is facts:
            continue
        if (known.group, known.split) != (facts.group, facts.split):
            raise DataError(f"{path}, line {number}: {line[columns.id]!r} has another group or split than before")
        known.labels = joined_labels(known, facts)
        known.boxes = (known.boxes or []) + (facts.boxes or []) or known.boxes
    return by_key, columns


def joined_labels(known: Facts, more: Facts) -> list[str] | None:
    """The class of each box of two lines of one image: that of its columns, or else the label of its line; None where all lines have
    the same one."""
    if known.labels is None and more.labels is None and known.label == more.label:
        return None
    return [name for facts in (known, more) for name in facts.labels or [facts.label or OBJECT] * len(facts.boxes or ())]


def table_bytes(path: Path) -> bytes:
    """The bytes of the file, read once: it may be a pipe.

    Raises: MissingInput.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise MissingInput(f"the table {path} is not there") from None


def table_lines(data: bytes, path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of a CSV with commas, semicolons or tabs, its header first; blank lines are skipped.

    Raises: DataError where it is no UTF-8, or no table.
    """
    text = TextIOWrapper(BytesIO(data), encoding="utf-8-sig", newline="")
    try:
        delimiter = max(",;\t", key=text.readline().count)
        text.seek(0)
        reader = csv.reader(text, delimiter=delimiter)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except UnicodeDecodeError:
        raise DataError(f"{path} is no UTF-8 text", "save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{path} is no table ({error})") from None


def checked_header(cells: list[str], path: Path) -> list[str]:
    """The names of the columns.

    Raises: DataError where there are none, or one stands twice.
    """
    header = [name.strip() for name in cells]
    if not any(header):
        raise DataError(f"{path} is empty")
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice:
        raise DataError(f"{path}: the column {twice!r} stands twice")
    return header


def numeric_columns(lines: Iterable[tuple[int, list[str]]], header: list[str], names: Iterable[str], path: Path) -> set[str]:
    """The columns whose cells are all numbers or empty.

    Raises: DataError where a line is longer than the header.
    """
    places = {name: header.index(name) for name in names}
    for number, cells in lines:
        if len(cells) > len(header):
            raise DataError(f"{path}, line {number}: {len(cells)} cells under {len(header)} columns")
        for name in [name for name, place in places.items() if place < len(cells) and not is_numeric(cells[place].strip())]:
            del places[name]
    return set(places)


def padded_cells(cells: list[str], count: int) -> list[str]:
    """The cells, stripped, one for each column; "" for absent ones."""
    stripped = [cell.strip() for cell in cells] + [""] * (count - len(cells))
    return ["" if cell.lower() in ABSENT else cell for cell in stripped]


def recognised_columns(header: list[str], asked: Columns, path: Path) -> Columns:
    """The columns asked for, and for the other roles those of common names.

    Raises: DataError where one asked for is missing, or no column holds ids.
    """
    missing = [name for name in asked.taken if name not in header]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}", f"it has {', '.join(header)}")
    lower = {name.lower(): name for name in reversed(header)}

    def column(role: str) -> str | None:
        return getattr(asked, role) or next((lower[name] for name in NAMES[role] if name in lower), None)

    if column("id") is None:
        raise DataError(f"{path} has no column of image names", "name it with --id-column")
    boxes, box_format = asked.boxes, asked.box_format or "xyxy"
    if boxes is None:
        groups = [(names, kind) for kind, sets in (("xyxy", XYXY), ("xywh", XYWH)) for names in sets if set(names) <= set(lower)]
        if groups:
            boxes, box_format = [(None, [lower[name] for name in groups[0][0]])], asked.box_format or groups[0][1]
        else:
            boxes = prefixed(lower) or None
    return Columns(column("id"), column("group"), column("split"), column("label"), boxes, box_format if boxes else None)


def prefixed(lower: dict[str, str]) -> list[tuple[str, list[str]]]:
    """Sets of columns such as left_lung_x0, left_lung_y0, left_lung_x1, left_lung_y1, with their common beginning as class.

    >>> prefixed({name: name for name in ("lung_x0", "lung_y0", "lung_x1", "lung_y1", "other_x0")})
    [('lung', ['lung_x0', 'lung_y0', 'lung_x1', 'lung_y1'])]
    """
    before = [name.removesuffix("_x0") for name in reversed(lower) if name.endswith("_x0")]
    sets = [(name, [f"{name}_{edge}" for edge in ("x0", "y0", "x1", "y1")]) for name in before]
    return [(name, [lower[each] for each in names]) for name, names in sets if set(names) <= set(lower)]


def line_facts(line: dict[str, str], columns: Columns, kinds: dict[str, bool], words: dict[str, str], where: str) -> Facts:
    """The facts of one line. `kinds`: the columns without a role, and whether they are numeric; `words`: those met so far.

    Raises: DataError where its split or a box is none.
    """

    def word(column: str | None) -> str | None:
        text = line[column] if column else ""
        return words.setdefault(text, text) if text else None

    split = word(columns.split)
    if split and split.lower() not in SPLIT_WORDS:
        raise DataError(f"{where}: the split {split!r} is none of {', '.join(SPLIT_WORDS)}")
    meta = {name: cell_number(cell) if numeric else words.setdefault(cell, cell) for name, numeric in kinds.items() if (cell := line[name])}
    boxes = [(name, box) for name, names in columns.boxes or () if (box := box_of([line[each] for each in names], columns, where))]
    labels = [name for name, _ in boxes if name is not None] or None
    split = SPLIT_WORDS[split.lower()] if split else None
    return Facts(word(columns.group), split, word(columns.label), [box for _, box in boxes] or None, labels, meta=meta)


def box_of(cells: list[str], columns: Columns, where: str) -> list[float] | None:
    """A box [x0, y0, x1, y1] from its four cells; None where they are empty."""
    if not any(cells):
        return None
    try:
        x, y, right, low = numbers = [float(cell) for cell in cells]
    except ValueError:
        numbers = []
    if not numbers or not all(abs(cell_number) <= SIDE for cell_number in numbers):
        raise DataError(f"{where}: the box {','.join(cells)} is not four numbers")
    return [x, y, x + right, y + low] if columns.box_format == "xywh" else [x, y, right, low]


def is_numeric(cell: str) -> bool:
    """Whether a cell is empty or a number: no leading zeros, no more digits than a float can hold."""
    return cell.lower() in ABSENT or bool(NUMBER.fullmatch(cell)) and math.isfinite(float(cell))


def cell_number(cell: str) -> int | float:
    """The number in a cell; an int where it is whole."""
    value = float(cell)
    return int(value) if value.is_integer() and abs(value) < 1e15 else value
