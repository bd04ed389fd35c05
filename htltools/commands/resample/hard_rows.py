"""The training rows that `resample` changes, which of them are hard, and the mark of hard rows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from htltools.commands.shared.columns import column_named
from htltools.commands.shared.hardness import hardness_column, known_hardness
from htltools.core.sampling.sample_weights import at_least_as_hard, hardest, tie_breakers, ties_in_words
from htltools.errors import DataError, UsageError
from htltools.formats.rows.fields import compared_field, condition, explain_no_match, idle_exclusions, require_fields
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import Sample
from htltools.formats.rows.spooled import rows_at
from htltools.formats.rows.vocabulary import HARDNESS


def resolved_column(rows: Sequence[Row], text: str, flag: str) -> str:
    """The column of hardness that a flag names, by its name or an unambiguous beginning of it: one that htl knows or that rows have.

    Raises: UsageError where there is none, or several.
    """
    own = () if text in HARDNESS else (name for row in rows for name in row.hardness)  # rows are read only where their columns matter
    return column_named(text, list(dict.fromkeys([*HARDNESS, *own])), flag)


def training_places(rows: Sequence[Row], *, pseudo: bool, unlabelled: bool) -> np.ndarray:
    """int64 [n]: positions of the rows of split train that have a box, or with `unlabelled` none, or with `pseudo` a pseudo-box.

    Raises: DataError where there is none.
    """
    touched = (row.split == "train" and row.is_annotated != unlabelled and (row.is_pseudo or not pseudo) for row in rows)
    places = np.flatnonzero(np.fromiter(touched, bool))
    if not len(places):
        missing = "no row of split train without a box" + (" has a predicted one: run htl score first" if pseudo else "")
        raise DataError(missing if unlabelled or pseudo else "no annotated row of split train to resample")
    return places


def top_share(rows: Sequence[Row], column: str, share: float, seed: int) -> tuple[np.ndarray, str]:
    """Which rows are in the top share by a column of hardness: bool [N]; and in words which tie at the threshold, or what excludes none.

    Raises: DataError where a row lacks the column.
    """
    hardness = hardness_column(rows, column, seed)
    is_hard = hardest(hardness, share, (row.unique_name for row in rows), seed)
    return is_hard, ties_in_words(hardness, is_hard)


def without_suspects(rows: Sequence[Row], places: np.ndarray, column: str, share: float, seed: int) -> tuple[np.ndarray, str]:
    """The positions of training rows without those of the top share by a column, and in words how many are dropped.

    Raises: DataError where a row lacks the column, or none is left.
    """
    if not share:
        return places, ""
    suspects, ties = top_share(rows_at(rows, places), column, share, seed)
    if suspects.all():
        raise DataError(f"--drop-top {share} leaves no training row")
    return places[~suspects], f", {suspects.sum()} dropped{ties}" if suspects.any() else ""


@dataclass(frozen=True)
class Criterion:
    """Which rows are hard: the top of a column, as a share or a count of the training rows, or those that fit all conditions."""

    by: str
    top: float
    count: int | None  # instead of top
    where: Sequence[str]  # instead of by and top
    seed: int

    def __str__(self) -> str:
        return " and ".join(self.where) or self.by

    def hard_rows(self, training: Sequence[Row]) -> tuple[np.ndarray, str]:
        """Which of the training rows are hard: bool [N]; and in words which tie at the threshold, or what excludes none.

        Raises: DataError where rows lack the column, none of them fits, or there are fewer than `count`.
        """
        if not self.where:
            if self.count and self.count > len(training):
                raise DataError(f"{self.count} rows are wanted, and there are {len(training)}", "lower --count")
            return top_share(training, self.by, self.count / len(training) if self.count else self.top, self.seed)
        require_fields(training, map(compared_field, self.where))
        explain_no_match(training, self.where)
        is_hard = self.fitting(training)
        if not is_hard.any():
            raise DataError(f"no training row fits --where {self}")
        return is_hard, "".join(f"; {sentence}" for sentence in idle_exclusions(training, self.where))

    def hardness(self, rows: Sequence[Row]) -> np.ndarray:
        """The column of all rows: float [N], higher = harder.

        Raises: DataError where a row lacks it.
        """
        return hardness_column(rows, self.by, self.seed)

    def fitting(self, rows: Sequence[Row]) -> np.ndarray:
        """Which rows fit all conditions: bool [N]."""
        conditions = [condition(text) for text in self.where]
        return np.fromiter((all(holds(row) for holds in conditions) for row in rows), bool)

    def marks(self, rows: Sequence[Row], places: np.ndarray, is_hard: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Which rows are hard, and for which that is known, so that `marked` writes it under that name: bool [N] each.

        places, is_hard: positions of the training rows, and which of them are hard. Other rows are hard where they would be among
        these, ties included.
        Raises: UsageError where every row may have a field of that name; DataError where some rows have one with another value.
        """
        if name in Sample.model_fields:
            raise UsageError(f"--mark {name} is the name of a field of rows", "choose another name")
        other = next((row.meta[name] for row in rows if row.meta.get(name) not in (None, "yes", "no")), None)
        if other is not None:
            raise DataError(f"the rows have a field {name!r} already, such as {other!r}", "choose another name for --mark")
        values = self.fitting(rows).astype(float) if self.where else known_hardness(rows, self.by, self.seed)
        ties = tie_breakers((row.unique_name for row in rows), self.seed)
        above = values >= 1 if self.where else at_least_as_hard(values, ties, values[places], ties[places], is_hard)
        above[places] = is_hard
        return above, ~np.isnan(values)


def marked(rows: Iterable[Row], name: str, is_hard: np.ndarray, is_known: np.ndarray) -> Iterator[Row]:
    """The rows with `yes` or `no` in their `meta` under that name, last of all: are they hard? Others stay as they are."""
    for row, hard, known in zip(rows, is_hard, is_known):
        meta = {key: content for key, content in row.meta.items() if key != name}
        yield row.changed(meta=meta | {name: "yes" if hard else "no"}) if known else row


def in_words(criterion: Criterion, is_hard: np.ndarray, ties: str, soft: bool, marked: bool) -> str:
    """Which of the training rows are hard (bool [N]), or weigh by their rank, as a sentence."""
    if not soft:
        return f"{is_hard.sum()} of {len(is_hard)} training rows are hard by {criterion}{ties}"
    also = f", and {is_hard.sum()} of them are marked as hard{ties}" if marked else ""
    return f"the weights of {len(is_hard)} training rows grow with rank by {criterion}{also}"
