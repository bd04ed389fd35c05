"""Which samples the gallery of a report shows, and in which of its sections."""

from collections.abc import Mapping, Sequence

import numpy as np

from htltools.core.hardness.baselines import chance


def rank_within_split(values: np.ndarray, splits: Sequence[str] | np.ndarray) -> np.ndarray:
    """Rank of each value [N] within its split, as a share of the values there: [N] in (0, 1], 1 = the highest; NaN stays.

    Scores of rows that a model was fitted to do not compare with those of others; ranks within their split do. Equal values share
    their highest rank.

    >>> rank_within_split(np.array([5, 1, 3, np.nan]), ["train", "train", "test", "test"])
    array([1. , 0.5, 1. , nan])
    """
    from scipy.stats import rankdata

    ranks = np.full(len(values), np.nan)
    for split in set(splits):
        own = np.flatnonzero((np.asarray(splits) == split) & ~np.isnan(values))
        ranks[own] = rankdata(values[own], "max") / max(len(own), 1)
    return ranks


def gallery_sections(
    hardness: np.ndarray,
    suspect: np.ndarray,
    gain: np.ndarray,
    splits: Sequence[str] | np.ndarray,
    ids: Sequence[str] | np.ndarray,
    count: int,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Positions of the samples of each section, in the order in which they are shown: at most `count` different ones in all.

    hardness, suspect, gain: [N], NaN = unknown. `hardest` and `suspects` have the highest ranks within their split, `gains` and
    `losses` the highest and lowest gain. The hardest get half of the room; `others`, drawn from all that are in none of these, what is
    left of it: what is hard shows beside what is not. Ties are broken, and others drawn, by a hash of seed and id.

    >>> nothing = np.full(3, np.nan)
    >>> gallery_sections(np.array([3, 1, 2.]), nothing, np.array([np.nan, -0.1, 0.2]), ["test"] * 3, "abc", 3)
    {'hardest': array([0]), 'gains': array([2]), 'losses': array([1])}
    """
    ties = chance((f"tie/{name}" for name in ids), seed)
    ranked = {
        "suspects": -rank_within_split(suspect, splits),
        "gains": np.where(gain > 0, -gain, np.nan),
        "losses": np.where(gain < 0, gain, np.nan),
    }
    ranked = {name: values for name, values in ranked.items() if np.isfinite(values).any()}
    share = max(count // 2 // max(len(ranked), 1), 1)
    hardest = lowest_first(-rank_within_split(hardness, splits), ties)
    sections = {"hardest": hardest[: max(count // 2, 1)]}
    for name, values in ranked.items():
        room = count - len(gallery_positions(sections))
        sections[name] = lowest_first(values, ties)[: min(share, room)]
    shown = gallery_positions(sections)
    draw = chance((f"other/{name}" for name in ids), seed)
    draw[shown] = np.nan
    sections["others"] = lowest_first(draw, ties)[: max(count - len(shown), 0)]
    return {name: positions for name, positions in sections.items() if len(positions)}


def places_within_split(values: np.ndarray, splits: Sequence[str] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place of each value [N] within its split, 1 = the highest, equal ones sharing the first of theirs, and how many are known there.

    Both are float [N], NaN where the value is.

    >>> places_within_split(np.array([5, 1, 5, 3, np.nan]), ["train"] * 3 + ["test"] * 2)[0]
    array([ 1.,  3.,  1.,  1., nan])
    """
    from scipy.stats import rankdata

    places, counts = np.full(len(values), np.nan), np.full(len(values), np.nan)
    for split in set(splits):
        own = np.flatnonzero((np.asarray(splits) == split) & ~np.isnan(values))
        places[own], counts[own] = rankdata(-values[own], "min"), len(own)
    return places, counts


def lowest_first(values: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """Positions of the values [N] that are known, the lowest first; of equal ones that with the lower number in `ties` [N]."""
    order = np.lexsort((ties, values))
    return order[np.isfinite(values[order])]


def gallery_positions(sections: Mapping[str, np.ndarray]) -> list[int]:
    """The positions of all sections, each once, in ascending order."""
    return sorted({int(position) for positions in sections.values() for position in positions})
