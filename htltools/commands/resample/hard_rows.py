"""Which rows count as hard for `resample`, and what becomes of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from htltools.commands.shared.hardness import hardness_column, known_hardness
from htltools.core.geometry.boxes import area
from htltools.core.sampling import sample_weights
from htltools.errors import DataError, UsageError
from htltools.formats.rows.fields import compared_field, condition, require_fields
from htltools.formats.rows.schema import Sample


@dataclass
class Hard:
    """Who counts as hard: the top of a column, as a share or a count of the training rows, or whoever fits all conditions."""

    by: str
    top: float
    count: int | None  # instead of top
    where: Sequence[str]
    seed: int

    def __str__(self) -> str:
        return " and ".join(self.where) or self.by

    def of_training(self, rows: list[dict]) -> np.ndarray:
        """Which of the training rows are hard: bool [N].

        Raises: DataError where rows lack the column, none of them fits, or there are fewer than `count`.
        """
        if not self.where:
            if self.count and self.count > len(rows):
                raise DataError(f"{self.count} rows are wanted, and there are {len(rows)}", "lower --count")
            return sample_weights.hardest(self.column(rows), self.count / len(rows) if self.count else self.top)
        require_fields(rows, map(compared_field, self.where))
        is_hard = self.fitting(rows)
        if not is_hard.any():
            raise DataError(f"no training row fits --where {self}")
        return is_hard

    def column(self, rows: list[dict]) -> np.ndarray:
        """The hardness of all rows: float [N].

        Raises: DataError where a row lacks it.
        """
        return hardness_column(rows, self.by, self.seed)

    def fitting(self, rows: list[dict]) -> np.ndarray:
        """Which rows fit all conditions: bool [N]."""
        tests = [condition(text) for text in self.where]
        return np.array([all(test(row) for test in tests) for row in rows], bool)

    def mark(self, rows: list[dict], training: list[dict], is_hard: np.ndarray, name: str) -> None:
        """Write into `meta` of every row whether it is hard, yes or no; nothing where a row lacks the column.

        Rows outside of the training set are hard from the hardness on at which training rows are.
        Raises: UsageError where every row may have a field of that name; DataError where some have, and it says something else.
        """
        if name in Sample.model_fields:
            raise UsageError(f"--mark {name} is the name of a field of rows", "choose another name")
        theirs = next((row["meta"][name] for row in rows if row.get("meta", {}).get(name) not in (None, "yes", "no")), None)
        if theirs is not None:
            raise DataError(f"the rows have a field {name!r} already, such as {theirs!r}", "choose another name for --mark")
        values = self.fitting(rows).astype(float) if self.where else known_hardness(rows, self.by, self.seed)
        threshold = 1.0 if self.where else known_hardness(training, self.by, self.seed)[is_hard].min(initial=np.inf)
        own = {id(row): hard for row, hard in zip(training, is_hard)}
        for row, value in zip(rows, values):
            meta = {key: said for key, said in row.get("meta", {}).items() if key != name}
            if not np.isnan(value):
                row["meta"] = meta | {name: "yes" if own.get(id(row), value >= threshold) else "no"}


def with_pseudo_box(row: dict) -> dict:
    """A row of the training split without `boxes`, with the mean of its predicted boxes for one; any other as it is.

    The mean is over roles, dense and pruned; of models that find several objects, those of the dense one are taken. Pseudo-boxes
    that were there before are renewed.
    """
    unannotated = row.get("boxes") is None or row.get("pseudo")
    if row.get("split") != "train" or not unannotated:
        return row
    if found := row.get("detected", {}).get("dense"):
        there = [(box, label) for box, label in zip(found["boxes"], found["labels"]) if area(box) > 0]
        return row | {"boxes": [box for box, _ in there], "labels": [label for _, label in there], "pseudo": True} if there else row
    if not row.get("predicted"):
        return row
    box = np.mean(list(row["predicted"].values()), 0).round(2)
    return row | {"boxes": [box.tolist()], "pseudo": True} if area(box) > 0 else row


def free_numbers(rows: list[dict]) -> dict[str, int]:
    """The first `repeat` of each id that no row has."""
    free: dict[str, int] = {}
    for row in rows:
        free[row["id"]] = max(free.get(row["id"], 1), row.get("repeat", 0) + 1)
    return free


def repeats(row: dict, copies: int, free: dict[str, int]) -> list[dict]:
    """The row and its copies, told apart by `repeat`; `free` moves on."""
    first = free[row["id"]]
    free[row["id"]] += copies
    return [row, *(row | {"repeat": number} for number in range(first, first + copies))]
