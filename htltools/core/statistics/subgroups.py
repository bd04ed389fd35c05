"""Subgroups of samples by what their rows say: one level per value, per band of a number, or per combination of several fields."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from htltools.errors import DataError, UsageError

UNKNOWN = "unknown"
MOST_LEVELS = 16  # of a field that is worth a table
FEW = 30  # a subgroup of fewer samples says little


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
    return [tuple(parsed_field(name, part.strip()) for name in part.split("*")) for part in text.split(",")]


def parsed_field(text: str, part: str) -> Field:
    """The field of `age:20`, which stands in a part of what was typed.

    Raises: UsageError naming the part.
    """
    name, colon, width = text.strip().partition(":")
    try:
        field = Field(name, float(width) if colon else None)
    except ValueError:
        field = Field("")
    if not name or not field.name or (field.width is not None and not 0 < field.width < math.inf):
        raise UsageError(f"--group-by takes names and band widths such as sex,age:20,sex*age:20, not {part!r}")
    return field


def value_of(row: dict[str, Any], name: str) -> Any:
    """What a row says of a field: in its `meta` first, else as a key of its own; None where it does not."""
    value = (row.get("meta") or {}).get(name)
    return row.get(name) if value is None else value


def level(value: Any, width: float | None) -> str:
    """The name of the subgroup that a value belongs to. A value in no band, because it is no number, is its own level.

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


def levels(rows: Sequence[dict[str, Any]], field: Field) -> tuple[list[str], np.ndarray]:
    """The names of the L levels of a field, and the place of each row's among them: int [N].

    They are in order of their numbers, then names, `unknown` last.
    Raises: DataError where no row knows the field: a slip of the pen must not pass for a finding.
    """
    values = [value_of(row, field.name) for row in rows]
    names = [level(value, field.width) for value in values]
    first = dict(zip(names, values))
    if set(first) == {UNKNOWN}:
        known = sorted({key for row in rows for key in row.get("meta") or {}})
        raise DataError(f"no row has a field {field.name!r} to group by", f"their meta has {', '.join(known) or 'none'}")
    ordered = sorted(first, key=lambda name: rank(name, first[name]))
    place = {name: i for i, name in enumerate(ordered)}
    return ordered, np.array([place[name] for name in names])


def subgroups(rows: Sequence[dict[str, Any]], crossing: Crossing) -> list[tuple[dict[str, str], np.ndarray]]:
    """The levels of a crossing, each as level by field, with the places of its rows: int64 [n]. Combinations without a row are left out.

    Raises: DataError as `levels`.
    """
    per_field = [levels(rows, field) for field in crossing]
    found = []
    for combination in product(*(range(len(names)) for names, _ in per_field)):
        here = np.logical_and.reduce([place == i for i, (_, place) in zip(combination, per_field)])
        if here.any():
            name = {field.name: names[i] for field, i, (names, _) in zip(crossing, combination, per_field)}
            found.append((name, np.flatnonzero(here)))
    return found


def metadata_fields(rows: Sequence[dict[str, Any]], most: int) -> tuple[list[Field], list[str]]:
    """Every column of `meta`, and `label`, with 2 to `most` levels, but none of lists; and the names of those that have more levels: an
    id, or a number.
    """
    columns = dict.fromkeys(key for row in rows for key in row.get("meta") or {})
    names = [name for name in [*columns, *(["label"] if "label" not in columns else [])] if groups(rows, name)]
    counts = {name: len({level(value_of(row, name), None) for row in rows}) for name in names}
    return [Field(name) for name, count in counts.items() if 1 < count <= most], [name for name, count in counts.items() if count > most]


def rank(name: str, value: Any) -> tuple[bool, float, str]:
    """Sorts levels: by number where the value is one, then by name, `unknown` last."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.inf
    return name == UNKNOWN, number, name


def groups(rows: Sequence[dict[str, Any]], name: str) -> bool:
    """Whether a field has values of which several samples may share one: not lists, such as boxes."""
    return not any(isinstance(value_of(row, name), (list, dict)) for row in rows)


def usual_fields(rows: Sequence[dict[str, Any]]) -> list[Field]:
    """Fields that make subgroups: `label`, and those of `meta`, with 2 to 16 levels in the rows; numbers of more values in bands, lists not
    at all.

    >>> usual_fields([{"label": "nv", "meta": {"age": age, "sex": "male"}} for age in range(20, 80)])
    [Field(name='age', width=20.0)]
    """
    found = []
    for name in dict.fromkeys(["label", *(name for row in rows for name in row.get("meta") or {})]):
        known = [value for row in rows if (value := value_of(row, name)) is not None]
        levels = {level(value, None) for value in known} if groups(rows, name) else set()
        if 1 < len(levels) <= MOST_LEVELS:
            found.append(Field(name))
        elif len(levels) > MOST_LEVELS and all(isinstance(value, (int, float)) for value in known):
            found.append(Field(name, band_width(max(known) - min(known))))
    return found


def band_width(span: float) -> float:
    """The width, a 1, 2 or 5 with zeros, of three to seven bands over a span.

    >>> band_width(59), band_width(85), band_width(0.4)
    (20.0, 20.0, 0.1)
    """
    scale = 10 ** math.floor(math.log10(span / 3))
    return float(f"{scale * max(step for step in (1, 2, 5) if scale * step <= span / 2.9):.10g}")
