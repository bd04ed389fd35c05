"""Baselines of hardness that need no model: lesion size and chance."""

import hashlib
from collections.abc import Iterable

import numpy as np

from htltools.core.geometry.boxes import area


def smallness(boxes: np.ndarray) -> np.ndarray:
    """1 - the share of the image that a box [N, 4], or several [N, M, 4] together, cover: [N] in [0, 1]; NaN where a box is NaN."""
    covered = np.where(np.isnan(boxes).any(-1), np.nan, area(boxes))
    return 1 - (covered if covered.ndim == 1 else covered.sum(-1).clip(0, 1))


def chance(ids: Iterable[str], seed: int) -> np.ndarray:
    """A number in [0, 1) for each id, a hash of seed and id: the control for chance, the same in any order of rows."""
    digests = (hashlib.sha256(f"{seed}/{name}".encode()).digest() for name in ids)
    return np.fromiter((int.from_bytes(digest[:7]) / 2**56 for digest in digests), float)
