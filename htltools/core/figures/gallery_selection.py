"""Which samples a report shows, and why."""

from collections.abc import Mapping, Sequence

import numpy as np


def standing(values: np.ndarray, parts: Sequence[str]) -> np.ndarray:
    """Where each value [N] stands within its part of the data: [N] in (0, 1], 1 = the highest there; NaN stays.

    Scores of rows that a model was fitted to do not compare with those of others; places within their split do.

    >>> standing(np.array([5, 1, 3, np.nan]), ["train", "train", "test", "test"])
    array([1. , 0.5, 1. , nan])
    """
    parts, placed = np.asarray(parts), np.full(len(values), np.nan)
    for part in np.unique(parts):
        own = np.flatnonzero((parts == part) & ~np.isnan(values))
        placed[own[values[own].argsort(kind="stable")]] = np.arange(1, len(own) + 1) / max(len(own), 1)
    return placed


def sections(hardness: np.ndarray, suspect: np.ndarray, gain: np.ndarray, parts: Sequence[str], count: int) -> dict[str, np.ndarray]:
    """Places of the samples of each section, the foremost first: at most `count` different ones in all.

    hardness, suspect, gain: [N], NaN = unknown. `hardest` and `suspects` have the highest of each part, `gains` and `losses` the
    highest and lowest gain. The hardest get half of the room, and what the others leave of it.

    >>> sections(np.array([3, 1, 2.]), np.full(3, np.nan), np.array([np.nan, -0.1, 0.2]), ["test"] * 3, 2)
    {'hardest': array([0]), 'gains': array([2])}
    """
    ranked = {
        "suspects": -standing(suspect, parts),
        "gains": np.where(gain > 0, -gain, np.nan),
        "losses": np.where(gain < 0, gain, np.nan),
    }
    ranked = {name: values for name, values in ranked.items() if np.isfinite(values).any()}
    share = max(count // 2 // max(len(ranked), 1), 1)
    hardest = foremost(-standing(hardness, parts))
    found = {"hardest": hardest[: max(count // 2, 1)]}
    for name, values in ranked.items():
        room = count - len(chosen(found))
        found[name] = foremost(values)[: min(share, room)]
    there = set(chosen(found))
    more = [place for place in hardest if place not in there][: count - len(there)]
    found["hardest"] = np.array([place for place in hardest if place in {*found["hardest"], *more}], int)
    return {name: places for name, places in found.items() if len(places)}


def foremost(values: np.ndarray) -> np.ndarray:
    """Places of the values [N] that are there, the lowest first."""
    order = values.argsort(kind="stable")
    return order[np.isfinite(values[order])]


def chosen(found: Mapping[str, np.ndarray]) -> list[int]:
    """The places of all sections, each once, in ascending order."""
    return sorted({int(place) for places in found.values() for place in places})
