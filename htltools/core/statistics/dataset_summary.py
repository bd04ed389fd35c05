"""How many samples a data set has of whom, and how hard they are: by split and subgroup."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from htltools.core.statistics.subgroups import Crossing, subgroups

SPLITS = "train", "val", "test", "none"


@dataclass(frozen=True)
class Part:
    """What is told of the rows of a subgroup within a split; `means` [C]: the mean of each column over the rows that have it, else NaN."""

    split: str
    subgroup: dict[str, str]  # level by field; empty: the whole split
    samples: int
    groups: int
    annotated: int
    means: np.ndarray


def parts(rows: Sequence[dict[str, Any]], groups: Sequence[str], columns: np.ndarray, crossings: Sequence[Crossing]) -> list[Part]:
    """Each split as a whole, then the levels of each crossing in it; levels that it has none of are left out.

    groups: the group of each of the N rows; columns: hardness [N, C], NaN = unknown. A model's answer in place of an
    annotation does not count as one.
    Raises: DataError where no row knows a field.
    """
    split = np.array([row.get("split") or "none" for row in rows])
    annotated = np.array([row.get("boxes") is not None and not row.get("pseudo") for row in rows])
    levels = [({}, np.arange(len(rows))), *(found for crossing in crossings for found in subgroups(rows, crossing))]
    told = []
    for name in SPLITS:
        for subgroup, places in levels:
            own = places[split[places] == name]
            if len(own):
                count = len({groups[place] for place in own})
                told.append(Part(name, subgroup, len(own), count, int(annotated[own].sum()), present_means(columns[own])))
    return told


def present_means(columns: np.ndarray) -> np.ndarray:
    """The mean [C] of each column of [N, C] over the rows that have it, NaN where none has.

    >>> present_means(np.array([[1, np.nan], [3, np.nan]]))
    array([ 2., nan])
    """
    there = ~np.isnan(columns)
    count = there.sum(0)
    return np.where(count > 0, np.where(there, columns, 0).sum(0) / np.maximum(count, 1), np.nan)
