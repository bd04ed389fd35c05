"""Attention: from hardness to training weights, repeats or a selection. Pure numpy."""

import numpy as np


def ranks(hardness: np.ndarray) -> np.ndarray:
    """Rank of each sample by hardness [N], from 0 (easiest) to N - 1 (hardest). Ties keep the order they came in.

    >>> ranks(np.array([0.3, 0.1, 0.2]))
    array([2, 0, 1])
    """
    order = np.argsort(hardness, kind="stable")
    place = np.empty(len(hardness), int)
    place[order] = np.arange(len(hardness))
    return place


def hardest(hardness: np.ndarray, share: float) -> np.ndarray:
    """Which samples are in the top share by hardness [N]: bool [N]; round(share * N) of them.

    >>> hardest(np.array([0.3, 0.1, 0.2]), 0.34)
    array([ True, False, False])
    """
    return ranks(hardness) >= len(hardness) - round(share * len(hardness))


def boosted_weights(is_hard: np.ndarray, boost: float) -> np.ndarray:
    """Weights 1 + boost for the hard ones (bool [N]), 1 for the rest, divided by their mean: [N], mean 1.

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
    """Weights that grow evenly with rank, from 1 (easiest) to 1 + boost (hardest), divided by their mean: [N], mean 1."""
    weights = 1 + boost * ranks(hardness) / max(len(hardness) - 1, 1)
    return weights / weights.mean()
