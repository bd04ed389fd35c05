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
    rows: Sequence[Mapping[str, Any]], groups: np.ndarray, columns: np.ndarray, crossings: Sequence[Crossing]
) -> list[SubgroupSummary]:
    """Counts and mean scores of each split, and of the levels of each crossing in it; empty levels are omitted.

    groups: the group of each of the N rows, a number or a text; columns: hardness [N, C], NaN = unknown. Pseudo-boxes do not count as
    annotation.

    Raises: DataError where no row has a field.
    """
    names = *SPLITS, "none"
    split = np.fromiter((names.index(row.get("split") or "none") for row in rows), np.int8, len(rows))
    annotated = np.fromiter((row.get("boxes") is not None and not row.get("pseudo") for row in rows), bool, len(rows))
    levels: list[tuple[dict[str, str], np.ndarray]] = [
        ({}, np.arange(len(rows))),
        *(own for crossing in crossings for own in subgroups(rows, crossing)),
    ]
    summaries = []
    for number, name in enumerate(names):
        for subgroup, places in levels:
            own = places[split[places] == number]
            if len(own):
                count = len(np.unique(groups[own]))
                means = present_means(columns, own)
                summaries.append(SubgroupSummary(name, subgroup, len(own), count, int(annotated[own].sum()), means))
    return summaries


def present_means(columns: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The mean [C] of each column of [N, C] over those of the rows at `places` that have it, NaN where none has. One column at a time.

    >>> present_means(np.array([[1, np.nan], [3, np.nan], [8, 8]]), np.array([0, 1]))
    array([ 2., nan])
    """
    present = (own[~np.isnan(own)] for own in (column[places] for column in columns.T))
    return np.array([own.mean() if len(own) else np.nan for own in present])
