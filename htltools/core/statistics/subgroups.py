"""Subgroups of samples by fields of their rows: one level per value, per band of a number, or per combination of several fields."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from htltools.errors import DataError, UsageError

UNKNOWN = "unknown"
MOST_LEVELS = 16  # of a field in a table of subgroups
MOST_NUMBERS = 7  # values of a number that are levels of their own, as of a skin type; more are in bands
FILE_WORDS = {
    "id",
    "uid",
    "uuid",
    "doi",
    "url",
    "uri",
    "link",
    "licence",
    "license",
    "copyright",
    "attribution",
    "citation",
    "filename",
    "path",
}
IMAGE_WORDS = {"image", "img", "picture", "native", "original", "orig", "px", "pixels"}
SIZE_WORDS = {"width", "height", "w", "h", "size", "resolution", "rows", "columns"}
SIDES = [("width", "height"), ("height", "width"), ("w", "h"), ("h", "w"), ("rows", "columns"), ("columns", "rows")]
FEW = 30  # samples below which a subgroup is too small for a conclusion


@dataclass(frozen=True)
class Field:
    """A field to group by; numbers fall into bands of `width` where one is given."""

    name: str
    width: float | None = None

    def __str__(self) -> str:
        return self.name if self.width is None else f"{self.name}:{self.width:g}"


Crossing = tuple[Field, ...]  # the fields whose levels are combined; mostly one


def parsed_fields(text: str) -> list[Crossing]:
    """The fields, and crossings of fields, of `sex,sex*age:20`.

    Raises: UsageError.

    >>> parsed_fields("sex,sex*age:20")
    [(Field(name='sex', width=None),), (Field(name='sex', width=None), Field(name='age', width=20.0))]
    """
    return [tuple(parsed_field(name, crossing.strip()) for name in crossing.split("*")) for crossing in text.split(",")]


def parsed_field(text: str, crossing: str) -> Field:
    """The field of `age:20`; `crossing` is the text that it is a part of.

    Raises: UsageError naming the crossing.
    """
    name, colon, width = text.strip().partition(":")
    try:
        field = Field(name, float(width) if colon else None)
    except ValueError:
        field = Field("")
    if not name or not field.name or (field.width is not None and not 0 < field.width < math.inf):
        raise UsageError(f"--group-by takes names and band widths such as sex,age:20,sex*age:20, not {crossing!r}")
    return field


def value_of(row: Mapping[str, Any], name: str) -> Any:
    """The value of a field of a row: that of its `meta`, else that of the row itself; None where there is neither."""
    value = (row.get("meta") or {}).get(name)
    return row.get(name) if value is None else value


def level(value: Any, width: float | None) -> str:
    """The name of the level of a value: its band of `width`, or itself where there is no width or it is no number.

    >>> level(45, 20), level("45", 20), level("male", None), level(None, 20), level(0.12, 0.1), level("90+", 20)
    ('40-59', '40-59', 'male', 'unknown', '0.1-0.2', '90+')
    """
    if value is None or value == "" or value == [] or value == {}:
        return UNKNOWN
    if isinstance(value, bool):
        return str(value).lower()
    if width is None:
        return f"{value:.10g}" if isinstance(value, float) else str(value)
    try:
        step = math.floor(float(value) / width + 1e-9)  # 0.3 / 0.1 is a hair below 3
    except (TypeError, ValueError, OverflowError):
        return str(value)
    low, high = step * width, (step + 1) * width
    return f"{low:.10g}-{high - (width == int(width)):.10g}"


def levels(rows: Sequence[Mapping[str, Any]], field: Field) -> tuple[list[str], np.ndarray]:
    """The names of the L levels of a field, and the position of the level of each row among them: int [N].

    In numeric order, then by name, `unknown` last.

    Raises: DataError where no row has the field: a typing error must not pass for a result.
    """
    last: dict[str, Any] = {}  # a value of each level
    places: dict[str, int] = {}

    def place(value: Any) -> int:
        name = level(value, field.width)
        last[name] = value
        return places.setdefault(name, len(places))

    found = np.fromiter((place(value_of(row, field.name)) for row in rows), np.int64, len(rows))
    if set(places) == {UNKNOWN}:
        known = sorted({key for row in rows for key in row.get("meta") or {}})
        raise DataError(f"no row has a field {field.name!r} to group by", f"their meta has {', '.join(known) or 'none'}")
    ordered = sorted(places, key=lambda name: level_order(name, last[name]))
    rank = np.empty(len(ordered), np.int64)
    rank[[places[name] for name in ordered]] = np.arange(len(ordered))
    return ordered, rank[found]


def subgroups(rows: Sequence[Mapping[str, Any]], crossing: Crossing) -> list[tuple[dict[str, str], np.ndarray]]:
    """The levels of a crossing, each as level by field, with the positions of its rows: int64 [n]; empty combinations are omitted.

    Raises: DataError as `levels`.
    """
    per_field = [levels(rows, field) for field in crossing]
    present = []
    for combination in product(*(range(len(names)) for names, _ in per_field)):
        inside = np.logical_and.reduce([own == i for i, (_, own) in zip(combination, per_field)])
        if inside.any():
            name = {field.name: names[i] for field, i, (names, _) in zip(crossing, combination, per_field)}
            present.append((name, np.flatnonzero(inside)))
    return present


def level_order(name: str, value: Any) -> tuple[bool, float, list[tuple[bool, int, str]]]:
    """Sort key of a level: by number where its value is one, then by name with the numbers in it as numbers, `unknown` last.

    >>> sorted(["unknown", "100-119", "20-39", "T10", "T2"], key=lambda name: level_order(name, name))
    ['20-39', '100-119', 'T2', 'T10', 'unknown']
    """
    number = number_of(value)
    pieces = [(not piece.isdecimal(), int(piece) if piece.isdecimal() else 0, piece) for piece in re.split(r"(\d+)", name) if piece]
    return name == UNKNOWN, math.inf if number is None else number, pieces


def number_of(value: Any) -> float | None:
    """The number that a value is, or that its text says; None of any other."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def usual_fields(rows: Sequence[Mapping[str, Any]]) -> list[Field]:
    """The fields that make subgroups where none are asked for, see `metadata_fields`."""
    return metadata_fields(rows)[0]


def metadata_fields(rows: Sequence[Mapping[str, Any]]) -> tuple[list[Field], dict[str, str]]:
    """Fields that make subgroups, `label` and those of `meta` with 2 to 16 levels, and why others with levels do not, by name.

    Numbers, such as ages, of more than 7 values are in bands. Fields that describe the file and not the patient are left out: ids,
    licences, addresses, the size of the image. So are lists.

    >>> metadata_fields([{"label": "nv", "meta": {"age": age, "sex": "mf"[age % 2], "doi": age % 2}} for age in range(20, 80)])
    ([Field(name='age', width=20.0), Field(name='sex', width=None)], {'doi': 'describes the file'})
    """
    names = list(dict.fromkeys(["label", *(name for row in rows for name in row.get("meta") or {})]))
    values = {name: Values() for name in names}
    for row in rows:  # once for all fields
        for name, own in values.items():
            own.add(value_of(row, name))
    fields, left_out = [], {}
    for name, own in values.items():
        if own.nested or len(own.levels) < 2:
            continue
        if describes_file(name, names):
            left_out[name] = "describes the file"
        elif len(own.levels) > MOST_NUMBERS and own.are_numbers:
            fields.append(Field(name, band_width(own.high - own.low)))
        elif len(own.levels) <= MOST_LEVELS:
            fields.append(Field(name))
        else:
            left_out[name] = f"has more than {MOST_LEVELS} levels"
    return fields, left_out


class Values:
    """What the values of a field are, as far as it decides whether they make subgroups.

    levels: the first of them, as names; nested: whether lists or objects are among them; are_numbers: whether all are numbers, or text
    that says one, from `low` to `high`. A value that is missing is none.
    """

    def __init__(self) -> None:
        self.levels: set[str] = set()
        self.nested, self.are_numbers, self.low, self.high = False, True, math.inf, -math.inf

    def add(self, value: Any) -> None:
        """Take a value into account."""
        if isinstance(value, (list, dict)):
            self.nested = True
        elif value not in (None, ""):
            if len(self.levels) <= MOST_LEVELS:
                self.levels.add(level(value, None))
            if (number := number_of(value)) is None:
                self.are_numbers = False
            else:
                self.low, self.high = min(self.low, number), max(self.high, number)


def describes_file(name: str, names: Sequence[str]) -> bool:
    """Whether a field of these `names` is by its name an id, a licence, an address, or the size of an image, and not about a patient.

    Width and height are those of an image where both are there: a height alone may be that of a patient.

    >>> [describes_file(name, ["native_w", "height"]) for name in ("native_w", "height", "licenseURL", "patient_id", "image size")]
    [True, False, True, True, True]
    """
    words = words_of(name)
    if words & FILE_WORDS or words <= SIZE_WORDS | IMAGE_WORDS and words & SIZE_WORDS and words & IMAGE_WORDS:
        return True
    return any(words == {one} and any(words_of(each) == {other} for each in names) for one, other in SIDES)


def words_of(name: str) -> set[str]:
    """The words of a name like image_width or StudyInstanceUID, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def band_width(span: float) -> float:
    """The width, 1, 2 or 5 times a power of ten, of three to seven bands over a span.

    >>> band_width(59), band_width(85), band_width(0.4)
    (20.0, 20.0, 0.1)
    """
    scale = 10 ** math.floor(math.log10(span / 3))
    return float(f"{scale * max(step for step in (1, 2, 5) if scale * step <= span / 2.9):.10g}")
