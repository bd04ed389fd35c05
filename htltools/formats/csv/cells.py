"""Metadata from the cells of a table: numbers, ages in years, sexes in the words of DICOM headers, and other words."""

import math
import re
from collections.abc import Sequence

NUMBER = re.compile(r"[-+]?(0|[1-9]\d{0,14})(\.\d+)?([eE][+-]?\d{1,3})?")
AGE_COLUMN = re.compile(r"(.*[^a-z])?age([^a-z].*)?|.*[a-z]Age([^a-z].*)?")
AGE = re.compile(r"0*(\d{1,3}(?:\.\d+)?)\s*([yYmMwWdD]?)")
YEARS = {"": 1.0, "y": 1.0, "m": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25}
SEX_COLUMN = re.compile(r"(?:.*[^a-z])?(?:patient)?(?:sex|gender)(?:[^a-z].*)?")
SEXES = {"m": "male", "male": "male", "man": "male", "f": "female", "female": "female", "w": "female", "woman": "female", "o": "other"}

Value = int | float | str


def metadata(name: str, cells: Sequence[str]) -> list[Value | None]:
    """The values of a column of N cells, None where one is empty. Equal words are one object: there may be a million.

    A column is numbers only if all of it is: no leading zeros, no more digits than a float can hold.

    >>> metadata("PatientAge", ["051Y", "7", "", "006M"]), metadata("sex", ["m", "Female"]), metadata("code", ["007", "8"])
    ([51, 7, None, 0.5], ['male', 'female'], ['007', '8'])
    """
    values: dict[str, Value | None] = {cell: cell for cell in cells if cell}
    if all(is_numeric(cell) for cell in values):
        values = {cell: number(cell) for cell in values}
    elif is_age_column(name) and all(AGE.fullmatch(cell) for cell in values):
        values = {cell: years(cell) for cell in values}
    elif SEX_COLUMN.fullmatch(name.lower()) and all(cell.casefold() in SEXES for cell in values):
        values = {cell: SEXES[cell.casefold()] for cell in values}
    values[""] = None
    return [values[cell] for cell in cells]


def is_age_column(name: str) -> bool:
    """Whether a column is one of ages, by its name.

    >>> [is_age_column(name) for name in ("Age", "age_approx", "PatientAge", "Patient Age", "image", "stage")]
    [True, True, True, True, False, False]
    """
    return bool(AGE_COLUMN.fullmatch(name) or AGE_COLUMN.fullmatch(name.lower()))


def is_numeric(cell: str) -> bool:
    """Whether a cell is a number that is kept as one."""
    return bool(NUMBER.fullmatch(cell)) and math.isfinite(float(cell))


def number(cell: str) -> int | float:
    """The number in a cell; an int where it is whole."""
    value = float(cell)
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def years(cell: str) -> int | float:
    """An age in years, of 51, 051Y or 006M."""
    count, unit = AGE.fullmatch(cell).groups()  # type: ignore[union-attr]
    return number(str(round(float(count) * YEARS[unit.lower()], 2)))
