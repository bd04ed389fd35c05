"""Subgroups of samples by fields of their rows: one level per value, per band of a number, or per combination of several fields."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from htltools.errors import DataError, UsageError

UNKNOWN = "unknown"
MOST_LEVELS = 16  # of a field in a table of subgroups
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
    values = [value_of(row, field.name) for row in rows]
    names = [level(value, field.width) for value in values]
    first = dict(zip(names, values))
    if set(first) == {UNKNOWN}:
        known = sorted({key for row in rows for key in row.get("meta") or {}})
        raise DataError(f"no row has a field {field.name!r} to group by", f"their meta has {', '.join(known) or 'none'}")
    ordered = sorted(first, key=lambda name: level_order(name, first[name]))
    position = {name: i for i, name in enumerate(ordered)}
    return ordered, np.array([position[name] for name in names])


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


def metadata_fields(rows: Sequence[Mapping[str, Any]], most: int) -> tuple[list[Field], list[str]]:
    """Every column of `meta`, and `label`, with 2 to `most` levels; and the names of those with more: ids, numbers. Lists are omitted."""
    columns = dict.fromkeys(key for row in rows for key in row.get("meta") or {})
    names = [name for name in [*columns, *(["label"] if "label" not in columns else [])] if is_groupable(rows, name)]
    counts = {name: len({level(value_of(row, name), None) for row in rows}) for name in names}
    return [Field(name) for name, count in counts.items() if 1 < count <= most], [name for name, count in counts.items() if count > most]


def level_order(name: str, value: Any) -> tuple[bool, float, str]:
    """Sort key of a level: by number where its value is one, then by name, `unknown` last."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.inf
    return name == UNKNOWN, number, name


def is_groupable(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether several samples may share a value of a field: not where it holds lists, such as boxes."""
    return not any(isinstance(value_of(row, name), (list, dict)) for row in rows)


def usual_fields(rows: Sequence[Mapping[str, Any]]) -> list[Field]:
    """Fields that make subgroups: `label`, and those of `meta`, with 2 to 16 levels; numbers of more in bands. Lists are omitted.

    >>> usual_fields([{"label": "nv", "meta": {"age": age, "sex": "male"}} for age in range(20, 80)])
    [Field(name='age', width=20.0)]
    """
    fields = []
    for name in dict.fromkeys(["label", *(name for row in rows for name in row.get("meta") or {})]):
        known = [value for row in rows if (value := value_of(row, name)) is not None]
        own = {level(value, None) for value in known} if is_groupable(rows, name) else set()
        if 1 < len(own) <= MOST_LEVELS:
            fields.append(Field(name))
        elif len(own) > MOST_LEVELS and all(isinstance(value, (int, float)) for value in known):
            fields.append(Field(name, band_width(max(known) - min(known))))
    return fields


def band_width(span: float) -> float:
    """The width, 1, 2 or 5 times a power of ten, of three to seven bands over a span.

    >>> band_width(59), band_width(85), band_width(0.4)
    (20.0, 20.0, 0.1)
    """
    scale = 10 ** math.floor(math.log10(span / 3))
    return float(f"{scale * max(step for step in (1, 2, 5) if scale * step <= span / 2.9):.10g}")
