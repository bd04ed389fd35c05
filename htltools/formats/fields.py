"""Fields of a row by name: `split`, `meta.age`, `hardness.drift`, or just `age` and `drift`."""

import operator
import re
from collections.abc import Callable
from typing import Any

from htltools.errors import UsageError

NESTED = ("meta", "hardness")
COMPARISONS = {"<=": operator.le, ">=": operator.ge, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "=": operator.eq}


def field(row: dict[str, Any], name: str) -> Any:
    """The value of a field, or None where the row has none. A top-level key wins over one of meta, that over hardness."""
    if name in row:
        return row[name]
    outer, dot, inner = name.partition(".")
    if dot and isinstance(row.get(outer), dict):
        return row[outer].get(inner)
    return next((row[outer][name] for outer in NESTED if name in row.get(outer, {})), None)


def condition(text: str) -> Callable[[dict[str, Any]], bool]:
    """A test of rows from `sex=female`, `age>=60`, `hardness.drift<0.2` or `label!=nv`.

    A row without the field fails every test but `!=`. Numbers are compared as numbers where both sides are.

    Raises: UsageError where it is no comparison.
    """
    match = re.fullmatch(r"\s*([^<>=!]+?)\s*(<=|>=|!=|<|>|=)\s*(.*?)\s*", text)
    if not match:
        raise UsageError(f"--where takes FIELD=VALUE (or !=, <, <=, >, >=), not {text!r}")
    name, sign, wanted = match.groups()
    compare = COMPARISONS[sign]
    number = as_number(wanted)

    def holds(row: dict[str, Any]) -> bool:
        value = field(row, name)
        if value is None:
            return sign == "!=" and wanted != ""
        if number is not None and isinstance(value, (int, float)):
            return compare(value, number)
        return compare(cell(value), wanted)

    return holds


def as_number(text: str) -> float | None:
    """The number a text stands for, if it does."""
    try:
        return float(text)
    except ValueError:
        return None


def cell(value: Any) -> str:
    """A value as a cell of a table: no tab, no newline."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return " ".join(cell(part) for part in value)
    return re.sub(r"\s", " ", str(value))
