"""Columns of hardness of rows, as arrays and back."""

from collections.abc import Sequence

import numpy as np

from htltools.core.geometry.objects import packed
from htltools.core.hardness.baselines import chance, smallness
from htltools.errors import DataError
from htltools.formats.rows.row import Row

OF_ROWS = "random", "smallness"  # columns that follow from rows, which need not carry them


def known_hardness(rows: Sequence[Row], by: str, seed: int) -> np.ndarray:
    """A column of hardness: float [N], NaN where a row lacks it. `random` and `smallness` follow from the rows themselves."""
    if by == "random":
        return chance((row.id for row in rows), seed)
    if by == "smallness":
        return smallness(annotated_boxes(rows))
    return np.fromiter((np.nan if (value := row.hardness.get(by)) is None else value for row in rows), float)


def known_columns(rows: Sequence[Row], names: Sequence[str], seed: int) -> np.ndarray:
    """As `known_hardness`, of C columns: float [N, C]. The rows are read once for all that they carry."""
    values = np.fromiter(([row.hardness.get(name) for name in names] for row in rows), np.dtype((float, (len(names),))), len(rows))
    for i, name in enumerate(names):
        if name in OF_ROWS:
            values[:, i] = known_hardness(rows, name, seed)
    return values


def hardness_column(rows: Sequence[Row], by: str, seed: int) -> np.ndarray:
    """As `known_hardness`, of all rows: float [N].

    Raises: DataError where a row lacks it.
    """
    values = known_hardness(rows, by, seed)
    missing = np.flatnonzero(np.isnan(values))
    if len(missing):
        known = sorted({name for row in rows for name in row.hardness})
        advice = f"these rows have {', '.join(known)}" if known else "run htl score first"
        raise DataError(f"{len(missing)} rows have no hardness {by!r} (the first: {rows[missing[0]].id!r})", advice)
    return values


def annotated_boxes(rows: Sequence[Row]) -> np.ndarray:
    """All annotated boxes of each row as shares of its image's sides: float [N, M, 4]; zeros where there are fewer, NaN where nobody
    annotated anything, or there is nothing."""
    objects = (np.divide(row.boxes, (row.size or [1, 1]) * 2).clip(0, 1) if row.boxes else None for row in rows)
    return packed((None if own is None else np.pad(own, ((0, 0), (0, 1))) for own in objects), 5)[..., :4]


def rounded_scores(columns: dict[str, np.ndarray], i: int) -> dict[str, float]:
    """The hardness of the i-th of N rows by column ([N] each), without NaN."""
    return {name: round(float(values[i]), 6) for name, values in columns.items() if np.isfinite(values[i])}
