"""Counts and mean hardness of a data set by split and subgroup."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from htltools.core.sampling.splits import SPLITS
from htltools.core.statistics.subgroups import Crossing, subgroups


@dataclass(frozen=True)
class SubgroupSummary:
    """Counts of the rows of a subgroup within a split; `means` [C]: the mean of each column over the rows that have it, else NaN."""

    split: str
    subgroup: dict[str, str]  # level by field; empty: the whole split
    samples: int
    groups: int
    annotated: int
    means: np.ndarray


def subgroup_summaries(
    rows: Sequence[Mapping[str, Any]], groups: Sequence[str] | np.ndarray, columns: np.ndarray, crossings: Sequence[Crossing]
) -> list[SubgroupSummary]:
    """Counts and mean scores of each split, and of the levels of each crossing in it; empty levels are omitted.

    groups: the group of each of the N rows; columns: hardness [N, C], NaN = unknown. Pseudo-boxes do not count as annotation.

    Raises: DataError where no row has a field.
    """
    member = np.unique(np.asarray(groups, str), return_inverse=True)[1]  # the number of each row's group: less than its name takes
    split = np.array([row.get("split") or "none" for row in rows])
    annotated = np.array([row.get("boxes") is not None and not row.get("pseudo") for row in rows])
    levels: list[tuple[dict[str, str], np.ndarray]] = [
        ({}, np.arange(len(rows))),
        *(own for crossing in crossings for own in subgroups(rows, crossing)),
    ]
    summaries = []
    for name in (*SPLITS, "none"):
        for subgroup, places in levels:
            own = places[split[places] == name]
            if len(own):
                count = len(np.unique(member[own]))
                means = present_means(columns[own])
                summaries.append(SubgroupSummary(name, subgroup, len(own), count, int(annotated[own].sum()), means))
    return summaries


def present_means(columns: np.ndarray) -> np.ndarray:
    """The mean [C] of each column of [N, C] over the rows that have it, NaN where none has.

    >>> present_means(np.array([[1, np.nan], [3, np.nan]]))
    array([ 2., nan])
    """
    known = ~np.isnan(columns)
    count = known.sum(0)
    return np.where(count > 0, np.where(known, columns, 0).sum(0) / np.maximum(count, 1), np.nan)
