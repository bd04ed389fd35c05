"""The roles of the columns of a table: image names, groups, labels, splits, boxes, readers; as asked for, or recognised by name."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from htltools.errors import DataError, UsageError
from htltools.formats.csv.column_names import (
    CELLS,
    FORMATS,
    FRAMES,
    GROUPS,
    HAS_BOX,
    LABELS,
    NAMES,
    READERS,
    RUNS,
    SPLITS,
    format_of,
    known,
    plain,
    plain_names,
    prefixed_sets,
)
from htltools.formats.csv.text import Table

TRIED = 500  # names of a column with which its images are counted


@dataclass(frozen=True)
class Columns:
    """The columns and words that a person names; None: whatever is recognised; "none" or "": there is no such column."""

    id: str | None = None
    group: str | None = None  # names with commas in between are joined
    split: str | None = None
    label: str | None = None
    boxes: Sequence[tuple[str | None, Sequence[str]]] | None = None  # the class and the four columns, or the one, of each box of a line
    box_format: str | None = None  # xyxy, xywh, cxcywh, or voc: corners that count pixels from 1 and include the last
    missing: Sequence[str] = ()  # words for missing values, beside the usual ones
    split_words: Mapping[str, str | None] = field(default_factory=dict)  # the split that a word of the table means, None for none
    empty_when: Sequence[tuple[str, str]] = ()  # (column, word) of lines whose image holds no object
    readers: str | None = None  # union, first or majority: what to make of the boxes of several readers


@dataclass
class Roles:
    """The columns of each role in one table. boxes: class, columns and format of each box of a line."""

    id: str
    groups: list[str] = field(default_factory=list)
    split: str | None = None
    label: str | None = None
    boxes: list[tuple[str | None, list[str], str]] = field(default_factory=list)
    frame: list[str] = field(default_factory=list)  # width and height
    reader: str | None = None
    runs: str | None = None  # of run lengths
    has_box: str | None = None  # 0: known to hold none

    @property
    def taken(self) -> set[str]:
        """The columns that have a field of their own in a row, or none at all."""
        one = {self.id, self.split, self.label, self.runs, self.reader, self.has_box, *self.frame, *self.groups[:1]} - {None}
        return {name for name in one if name} | {name for _, names, _ in self.boxes for name in names}

    def described(self) -> dict[str, str]:
        """Where the parts of the facts come from, to be shown."""
        columns: dict[str, list[str | None]] = {
            "ids": [self.id], "groups": [*self.groups], "labels": [self.label], "splits": [self.split],
            "readers": [self.reader], "frames": [*self.frame],
        }  # fmt: skip
        named = {role: [name for name in names if name] for role, names in columns.items()}
        described = {role: f"column{'s' * (len(names) > 1)} {', '.join(names)}" for role, names in named.items() if names}
        boxes = [f"column{'s' * (len(names) > 1)} {', '.join(names)} ({box_format})" for _, names, box_format in self.boxes]
        boxes += [f"column {self.runs} (run lengths)"] if self.runs else []
        return described | ({"boxes": "; ".join(boxes)} if boxes else {})


class ImagesByName(Protocol):
    """What is asked of `sources.names.ImageNames`, which a room of tables may not import."""

    def count(self, names: Iterable[str]) -> int:
        """How many of the names mean one image each."""
        ...


def recognised_roles(table: Table, asked: Columns, images: ImagesByName | None = None, chosen: str | None = None) -> Roles:
    """The columns that are asked for, and for the other roles those of common names; `chosen`: the column of image names.

    Raises: DataError where one asked for is missing, or no column holds names of images.
    """
    columns = plain_names(table.header)
    roles = Roles(chosen or name_column(table, asked, images) or "")
    if not roles.id:
        raise DataError(f"{table.name} has no column of image names", "name it with --id-column")
    groups = asked_columns(table, asked.group, several=True)
    others = {key: name for key, name in columns.items() if name != roles.id}
    roles.groups = known(others, GROUPS) if groups is None else groups
    split = asked_columns(table, asked.split)
    roles.split = next(iter(known(others, SPLITS) if split is None else split), None)
    label = asked_columns(table, asked.label)
    roles.label = next(iter(known(others, LABELS) if label is None else label), None)
    roles.boxes = box_columns(table, columns, asked)
    boxed = {name for _, names, _ in roles.boxes for name in names}
    sets = (known(others, names.split()) for names in FRAMES) if roles.boxes else ()
    roles.frame = next((names for names in sets if len(names) == 2 and not boxed & set(names)), [])
    roles.reader = next(iter(known(others, READERS)), None)
    roles.runs = next(iter(known(others, RUNS)), None)
    roles.has_box = next(iter(known(others, [HAS_BOX])), None)
    return roles


def asked_columns(table: Table, asked: str | None, several: bool = False) -> list[str] | None:
    """The columns of a flag; None where the flag is not given.

    Raises: DataError where the table lacks one.
    """
    if asked is None or asked in table.header:
        return None if asked is None else [asked]
    names = [name for name in (asked.split(",") if several else [asked]) if name not in ("", "none")]
    check_columns(table, names)
    return names


def check_columns(table: Table, names: Iterable[str]) -> None:
    """Refuse names that are no columns.

    Raises: DataError.
    """
    for name in names:
        if name not in table.header:
            raise DataError(f"{table.name} has no column {name!r}", f"it has {', '.join(table.header)}")


def name_column(table: Table, asked: Columns, images: ImagesByName | None) -> str | None:
    """The column of image names: the one asked for; else of those with common names the first that fits nearly as many images as any
    does; else any column of names of images; None where there is none.

    Raises: DataError where the one asked for is missing.
    """
    if asked.id:
        check_columns(table, [asked.id])
        return asked.id
    common = known(plain_names(table.header), NAMES)
    if images is None:
        return next(iter(common), None)
    for names in common, [name for name in table.header if name not in common]:
        counts = {name: images.count(tried(table.cells[name])) for name in names}
        most = max(counts.values(), default=0)
        if most:
            return next(name for name in names if counts[name] * 2 >= most)
    return next(iter(common), None)


def tried(cells: Sequence[str]) -> list[str]:
    """Some of the distinct words of a column, evenly spaced."""
    distinct = sorted({cell for cell in cells if cell})
    return distinct[:: -(-len(distinct) // TRIED) or 1]


def box_columns(table: Table, columns: Mapping[str, str], asked: Columns) -> list[tuple[str | None, list[str], str]]:
    """Class, columns and format of each box of a line. A format is what the names of the columns say, but where one is asked for.

    Raises: DataError where a column asked for is missing; UsageError where there are neither four nor one.
    """
    if asked.boxes is not None:
        for _, names in asked.boxes:
            check_columns(table, names)
            if len(names) not in (1, 4):
                raise UsageError(f"a box has four columns, or one cell, not {','.join(names)}")
        short = {name: key for key, name in columns.items()}
        return [(kind, list(names), asked.box_format or format_of([short.get(n, plain(n)) for n in names])) for kind, names in asked.boxes]
    for box_format, sets in FORMATS.items():
        for names in sets:
            four = known(columns, names.split())
            if len(four) == 4:
                return [(None, four, asked.box_format or box_format)]
    prefixed = prefixed_sets(table.header)
    if prefixed:
        return [(kind, names, asked.box_format or box_format) for kind, names, box_format in prefixed]
    cells = [name for name in table.header if plain(re.split(r"[\[(]", name)[0]) in map(plain, CELLS)][:1]
    return [(None, cells, asked.box_format or format_of([plain(name) for name in cells]))] if cells else []
