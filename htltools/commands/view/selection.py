"""The rows that `view` chooses, in their order, and the fields that its flags name."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from htltools import console
from htltools.commands.shared.columns import column_named
from htltools.formats.rows.fields import compared_field, condition, explain_no_match, field, idle_exclusions, require_fields
from htltools.formats.rows.row import Row
from htltools.formats.rows.spooled import rows_at, rows_where

if TYPE_CHECKING:
    import numpy as np


BATCH = 4096  # rows
MOST = sys.float_info.max  # whole numbers may be beyond it


@dataclass(frozen=True)
class Selected:
    """The chosen rows, how many matched before --limit, and the fields of --sort and --columns by their whole names."""

    rows: Sequence[Row]
    matched: int
    sort: str | None
    columns: list[str] | None
    ascending: bool = False

    @property
    def order(self) -> str:
        """The order in words."""
        return f"{'lowest' if self.ascending else 'highest'} {self.sort} first" if self.sort else ""


class Query:
    """--split ("all" and None are the same), --where, --sort, --ascending and --columns, checked before any row is read.

    Raises: UsageError where a condition is none.
    """

    def __init__(
        self, split: str | None, where: Sequence[str], sort: str | None, columns: Sequence[str] | None, *, ascending: bool = False
    ):
        self.split = None if split == "all" else split
        self.sort, self.columns, self.ascending = sort, columns, ascending
        self.where, self.compared = where, [compared_field(text) for text in where]
        self.conditions: list[Callable[[dict[str, Any]], bool]] = [condition(text) for text in where]

    def __str__(self) -> str:
        return " and ".join([*self.where, *([f"split={self.split}"] if self.split else [])])

    def select(self, rows: Sequence[Row], limit: int | None = None, *, means: bool = False) -> Selected:
        """The rows that match, highest `sort` first (lowest with `ascending`; rows without it last), and the first `limit` of these.
        `means`: the columns are all of hardness.

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
        matching = self.matching(rows) if self.split or self.conditions else rows
        if sort:
            matching = in_order_of(matching, sort, limit, ascending=self.ascending)
        return Selected(matching[:limit], len(matching), sort, columns, self.ascending)

    def matching(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows that match."""
        return rows_where(rows, (self.split in (None, row.split) and all(holds(row) for holds in self.conditions) for row in rows))


def in_order_of(rows: Sequence[Row], sort: str, limit: int | None, *, ascending: bool = False) -> Sequence[Row]:
    """The rows in falling or rising order of a field, those without it last; how many of one value `limit` leaves out is said."""
    import numpy as np  # rows pass through without

    from htltools.core.sampling.sample_weights import tie_breakers

    ties: list[np.ndarray] = []

    def values() -> Iterator[Any]:  # with the ties beside them: rows are read once, for each access to a spooled one parses it
        batch: list[str] = []
        for row in rows:
            batch.append(row.unique_name)
            if len(batch) == BATCH:
                ties.append(tie_breakers(batch))
                batch.clear()
            yield field(row, sort)
        ties.append(tie_breakers(batch))

    kinds, ranks = sort_keys(values())
    order = np.lexsort((np.concatenate(ties), ranks, kinds))
    empty = kinds[order] == 0
    order = np.concatenate([order[~empty], order[empty]]) if ascending else order[::-1]
    if limit and limit < len(order):
        tied = (kinds == kinds[order[limit]]) & (ranks == ranks[order[limit]])
        say_ties(int(tied[order[:limit]].sum()), int(tied.sum()), sort, limit)
    return rows_at(rows, order)


def say_ties(shown: int, tied: int, sort: str, limit: int) -> None:
    """Say how many rows have the value of the first that the limit leaves out, where some of these are shown."""
    if shown:
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


def sort_keys(values: Iterable[Any]) -> "tuple[np.ndarray, np.ndarray]":
    """What N values are sorted by: kind, numbers (2) above texts (1) above anything else (0), int8 [N], and the order within it, float64
    [N]: the number, the place of the text among all texts, or 0."""
    import numpy as np

    texts: dict[str, int] = {}  # a number for each, in the order in which they come
    keys = (
        (2, max(min(value, MOST), -MOST))
        if isinstance(value, (int, float))
        else (1, texts.setdefault(value, len(texts)))
        if isinstance(value, str)
        else (0, 0)
        for value in values
    )
    pairs = np.fromiter(keys, [("kind", np.int8), ("key", np.float64)])
    kinds, ranks = pairs["kind"], pairs["key"]
    rank = np.empty(len(texts))
    rank[np.argsort(np.array(list(texts), object))] = np.arange(len(texts))
    is_text = kinds == 1
    ranks[is_text] = rank[ranks[is_text].astype(int)]
    return kinds, ranks
