"""The rows that `view` chooses, in their order, and the fields that its flags name."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from htltools import console
from htltools.commands.shared.columns import column_named
from htltools.errors import UsageError
from htltools.formats.rows.fields import compared_field, condition, explain_no_match, field, idle_exclusions, require_fields
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import SPLITS


@dataclass(frozen=True)
class Selected:
    """The chosen rows, how many matched before --limit, and the fields of --sort and --columns by their whole names."""

    rows: list[Row]
    matched: int
    sort: str | None
    columns: list[str] | None


class Query:
    """--split, --where, --sort and --columns, checked before any row is read.

    Raises: UsageError where there is no such split, or a condition is none.
    """

    def __init__(self, split: str | None, where: Sequence[str], sort: str | None, columns: Sequence[str] | None):
        if split is not None and split not in SPLITS:
            raise UsageError(f"--split takes {', '.join(SPLITS)}, not {split!r}")
        self.split, self.sort, self.columns = split, sort, columns
        self.where, self.compared = where, [compared_field(text) for text in where]
        self.conditions: list[Callable[[dict[str, Any]], bool]] = [condition(text) for text in where]

    def __str__(self) -> str:
        return " and ".join([*self.where, *([f"split={self.split}"] if self.split else [])])

    def select(self, rows: list[Row], limit: int | None = None, *, means: bool = False) -> Selected:
        """The rows that match, highest `sort` first, and the first `limit` of these. `means`: the columns are all of hardness.

        Rows of one value come in the order of a hash of their ids; how many of them the limit leaves out is said.

        Raises: DataError where no row has a field that is named, or the value that it should have; UsageError where a name may be
        several columns.
        """
        sort = self.sort and whole_name(self.sort, rows, "--sort")
        columns = None if self.columns is None else [whole_name(name, rows, "--columns") for name in self.columns]
        require_fields(rows, [*self.compared, *([sort] if sort else []), *([] if means else columns or [])])
        explain_no_match(rows, self.where)
        for sentence in idle_exclusions(rows, self.where):
            console.say(sentence)
        matching = [row for row in rows if self.split in (None, row.split) and all(holds(row) for holds in self.conditions)]
        if sort:
            from htltools.core.sampling.sample_weights import tie_breakers  # numpy: rows pass through without

            ties = tie_breakers([row.unique_name for row in matching])
            keys = [sort_key(field(row, sort)) for row in matching]
            order = sorted(range(len(matching)), key=lambda i: (keys[i], ties[i]), reverse=True)
            matching = [matching[i] for i in order]
            say_ties([keys[i] for i in order], sort, limit)
        return Selected(matching[:limit], len(matching), sort, columns)


def say_ties(keys: list[tuple], sort: str, limit: int | None) -> None:
    """Say how many of the first `limit` rows are no higher than some that are left out. keys: what all rows were sorted by."""
    if limit and limit < len(keys) and keys[limit - 1] == keys[limit]:
        tied = keys.count(keys[limit])
        shown = keys[:limit].count(keys[limit])
        console.say(f"{shown} of {tied} rows of one {sort} are among the first {limit}, by a hash of their ids")


def whole_name(text: str, rows: Sequence[Row], flag: str) -> str:
    """The field of that name, else the only hardness column that begins so, else the name as it is.

    Raises: UsageError where several columns do.
    """
    if any(field(row, text) is not None for row in rows):
        return text
    start = text.removeprefix("hardness.")
    known = hardness_columns(rows)
    return column_named(start, known, flag) if start and any(name.startswith(start) for name in known) else text


def hardness_columns(rows: Iterable[Row]) -> list[str]:
    """The hardness columns that any of the rows has, in the order in which they come."""
    return list(dict.fromkeys(name for row in rows for name in row.hardness))


def sort_key(value: Any) -> tuple:
    """Numbers above texts above nothing."""
    if isinstance(value, (int, float)):
        return 2, value
    return (1, value) if isinstance(value, str) else (0, 0)
