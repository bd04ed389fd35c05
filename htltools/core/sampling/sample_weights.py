"""From hardness to the hardest samples and to training weights. Pure numpy; no result depends on the order of samples."""

from collections.abc import Sequence

import numpy as np

from htltools.core.hardness.baselines import chance


def hardest(hardness: np.ndarray, share: float, ids: Sequence[str] | None = None, seed: int = 0) -> np.ndarray:
    """Which samples are in the top share by hardness [N]: bool [N]; round(share * N) of them.

    Of equally hard samples those come first that a hash of seed and id puts first; without ids the position stands for the id.

    >>> hardest(np.array([0.3, 0.1, 0.2]), 0.34)
    array([ True, False, False])
    """
    count = len(hardness)
    names = map(str, range(count)) if ids is None else ids
    order = np.lexsort((chance([f"tie/{name}" for name in names], seed), hardness))  # by hardness, then by chance
    chosen = np.zeros(count, bool)
    chosen[order[count - round(share * count) :]] = True
    return chosen


def ties_at_threshold(hardness: np.ndarray, chosen: np.ndarray) -> tuple[int, int]:
    """How many of the chosen samples (bool [N], see `hardest`) are only as hard [N] as some that are not chosen, and how many samples
    are that hard in all; 0 and 0 where none.

    >>> ties_at_threshold(np.array([0.3, 0.1, 0.1, 0.1]), np.array([True, False, True, False]))
    (1, 3)
    """
    tied = hardness == hardness[chosen].min(initial=np.inf)
    return (int((tied & chosen).sum()), int(tied.sum())) if (tied & ~chosen).any() else (0, 0)


def boosted_weights(is_hard: np.ndarray, boost: float) -> np.ndarray:
    """Weights 1 + boost for the hard samples (bool [N]), 1 for the rest, divided by their mean: [N], mean 1.

    So the learning rate means the same.

    >>> boosted_weights(np.array([True, False]), 1.0).round(4)
    array([1.3333, 0.6667])
    """
    weights = 1 + boost * is_hard
    return weights / weights.mean()


def top_weights(hardness: np.ndarray, share: float, boost: float) -> np.ndarray:
    """`boosted_weights` of the top share by hardness [N]: [N], mean 1."""
    return boosted_weights(hardest(hardness, share), boost)


def soft_weights(hardness: np.ndarray, boost: float) -> np.ndarray:
    """Weights that grow evenly with rank, from 1 (easiest) to 1 + boost (hardest), divided by their mean: [N], mean 1.

    Equally hard samples share their mean rank, and so their weight.

    >>> soft_weights(np.array([0.1, 0.2, 0.2]), 1.0).round(4)
    array([0.6667, 1.1667, 1.1667])
    """
    from scipy.stats import rankdata

    weights = 1 + boost * (rankdata(hardness) - 1) / max(len(hardness) - 1, 1)
    return weights / weights.mean()
