"""From hardness to the hardest samples and to training weights. Pure numpy; no result depends on the order of samples."""

from collections.abc import Iterable

import numpy as np

from htltools.core.hardness.baselines import chance


def hardest(hardness: np.ndarray, share: float, ids: Iterable[str] | None = None, seed: int = 0) -> np.ndarray:
    """Which samples are in the top share by hardness [N]: bool [N]; round(share * N) of them.

    Of equally hard samples those come first that a hash of seed and id puts first; without ids the position stands for the id.

    >>> hardest(np.array([0.3, 0.1, 0.2]), 0.34)
    array([ True, False, False])
    """
    count = len(hardness)
    order = np.lexsort((tie_breakers(map(str, range(count)) if ids is None else ids, seed), hardness))
    chosen = np.zeros(count, bool)
    chosen[order[count - round(share * count) :]] = True
    return chosen


def tie_breakers(ids: Iterable[str], seed: int = 0) -> np.ndarray:
    """A number in [0, 1) for each id, by which equal samples are put in order: the highest first, whatever their order in the stream."""
    return chance((f"tie/{name}" for name in ids), seed)


def at_least_as_hard(hardness: np.ndarray, ties: np.ndarray, others: np.ndarray, other_ties: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Which samples [N] would be among the `chosen` (bool [M], see `hardest`) of others [M]: bool [N]; equal ones by `tie_breakers`.

    >>> at_least_as_hard(np.array([0.3, 0.1]), np.zeros(2), np.array([0.2, 0.1]), np.zeros(2), np.array([True, False]))
    array([ True, False])
    """
    if not chosen.any():
        return np.zeros(len(hardness), bool)
    lowest = others[chosen].min()
    last = other_ties[chosen & (others == lowest)].min()
    return (hardness > lowest) | ((hardness == lowest) & (ties >= last))


def ties_in_words(hardness: np.ndarray, chosen: np.ndarray) -> str:
    """`ties_at_threshold` as an addition to a sentence; empty where nothing ties."""
    several, tied = ties_at_threshold(hardness, chosen)
    return f" ({several} of {tied} that tie at the threshold)" if tied else ""


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
    return (1 + boost * is_hard) / (1 + boost * (is_hard.mean() if len(is_hard) else 0))  # by count, in any order of samples


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

    if len(hardness) < 2:
        return np.ones(len(hardness))
    return (1 + boost * (rankdata(hardness) - 1) / (len(hardness) - 1)) / (1 + boost / 2)  # the mean of ranks, whatever ties
