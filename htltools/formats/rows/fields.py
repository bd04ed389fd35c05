"""Fields of a row by name: `split`, `meta.age`, `hardness.pruned_disagreement`, or just `age` and `pruned_disagreement`."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from htltools.errors import DataError, UsageError

MOST_VALUES = 12  # that an error names
NESTED = ("meta", "hardness")
COMPARISONS = {
    "==": operator.eq,
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}


def field(row: Mapping[str, Any], name: str) -> Any:
    """The value of a field, or None where the row has none. A top-level key wins over one of meta, that over hardness."""
    if name in row:
        return row[name]
    outer, dot, inner = name.partition(".")
    if dot and isinstance(row.get(outer), dict):
        return row[outer].get(inner)
    return next((row[outer][name] for outer in NESTED if name in row.get(outer, {})), None)


def compared_field(text: str) -> str:
    """The name of the field that a comparison tests."""
    return parsed_comparison(text)[0]


def require_fields(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> None:
    """Refuse names that no row has: a typing error should not look like an empty result.

    Raises: DataError naming the first of them.
    """
    for name in names:
        if rows and all(field(row, name) is None for row in rows):
            raise DataError(f"no row has a field {name!r}", f"the first has {', '.join(known_fields(rows[0]))}")


def known_fields(row: Mapping[str, Any]) -> list[str]:
    """The names of a row's fields."""
    return [*(name for name in row if name not in NESTED), *(f"{outer}.{name}" for outer in NESTED for name in row.get(outer, {}))]


def parsed_comparison(text: str) -> tuple[str, str, str]:
    """Field, sign and value of a comparison.

    Raises: UsageError where the text is no comparison.
    """
    match = re.fullmatch(r"\s*([^<>=!]+?)\s*(<=|>=|!=|==|<|>|=)\s*(.*?)\s*", text)
    if not match:
        raise UsageError(f"--where takes FIELD=VALUE (or !=, <, <=, >, >=), not {text!r}")
    return match[1], match[2], match[3]


def condition(text: str) -> Callable[[Mapping[str, Any]], bool]:
    """A test of rows from `sex=female`, `age>=60`, `hardness.pruned_disagreement<0.2` or `label!=nv`.

    A row without the field fails every test but `!=`. Numbers are compared as numbers where both sides are; a number is neither more nor
    less than a text.

    Raises: UsageError where the text is no comparison; the test does where it would have to put a number and a text in order.
    """
    name, sign, wanted = parsed_comparison(text)
    compare = COMPARISONS[sign]
    number = as_number(wanted)

    def holds(row: Mapping[str, Any]) -> bool:
        value = field(row, name)
        if value is None:
            return sign == "!=" and wanted != ""
        if isinstance(value, bool) and sign[0] in "!=" and number is None:
            return compare(str(value).lower(), wanted.lower())  # true as JSON has it, or True as tables show it
        is_number = isinstance(value, (int, float))
        if number is not None and is_number:
            return compare(value, number)
        if sign[0] in "<>" and is_number != (number is not None):
            raise UsageError(f"--where {text} compares {cell(value)!r}, {name} of {row.get('id')!r}, with {wanted!r}", "one is no number")
        return compare(cell(value), wanted)

    return holds


def explain_no_match(rows: Sequence[Mapping[str, Any]], texts: Iterable[str]) -> None:
    """Refuse a comparison for equality that no row meets: a typing error should not look like an empty result.

    Raises: DataError naming the values that there are, and one of them that is spelled alike.
    """
    for text in texts:
        name, sign, wanted = parsed_comparison(text)
        if sign in ("=", "==") and rows and not any(map(condition(text), rows)):
            raise DataError(f"no row has the {name} {wanted!r}", values_there(rows, name, "=", wanted))


def idle_exclusions(rows: Sequence[Mapping[str, Any]], texts: Iterable[str]) -> list[str]:
    """A sentence on each `label!=nv` whose value no row has, so that it excludes nothing: a typing error should be seen."""
    parsed = [(text, *parsed_comparison(text)) for text in texts]
    idle = [own for own in parsed if rows and own[2] == "!=" and own[3] and all(map(condition(own[0]), rows))]
    return [f"{text} excludes no row: {values_there(rows, name, sign, wanted)}" for text, name, sign, wanted in idle]


def values_there(rows: Iterable[Mapping[str, Any]], name: str, sign: str, wanted: str) -> str:
    """The values of a field that there are, and one of them that is spelled like the one that was wanted."""
    values = sorted({cell(value) for row in rows if (value := field(row, name)) is not None})
    shown = ", ".join(values[:MOST_VALUES]) + (f" and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else "")
    alike = [value for value in values if value.casefold() == wanted.casefold()] or get_close_matches(wanted, values, 1)
    return f"there are {shown}" + (f"; did you mean {name}{sign}{alike[0]}?" if alike else "")


def as_number(text: str) -> float | None:
    """The text as a number; None where it is none."""
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
