"""Cross-fitting: which training rows a model leaves out, and so which models answer for which row.

Reference: Chernozhukov et al., "Double/debiased machine learning", 2018 (arXiv 1608.00060), for the idea: what is
said of a sample comes from a model that was not fitted to it. Deviation: folds are dealt by a hash of the group, so that they are
only about equally large, and a group stays where it is when others are added.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Fold:
    """The training rows that a model leaves out: the `k`-th of `K` parts, 1 <= k <= K, dealt with a seed."""

    k: int
    K: int
    seed: int

    def __str__(self) -> str:
        return f"{self.k}/{self.K}"


def fold_of(group: str, count: int, seed: int = 0) -> int:
    """The fold of a group, from 1 to `count`: a function of its name, the count and the seed alone.

    >>> [fold_of(group, 3) for group in ("P1", "P2", "P3", "P4")]
    [3, 1, 1, 1]
    """
    # not the digest of core/splits: among the groups of one split its places are no longer even
    digest = hashlib.sha256(f"fold/{count}/{seed}:{group}".encode("utf-8", "surrogatepass")).digest()
    return 1 + (int.from_bytes(digest[:8]) * count >> 64)


def left_out(groups: Sequence[str], fold: Fold | None) -> np.ndarray:
    """Whether a model leaves out samples of these N groups: bool [N]; none where it has no fold."""
    return np.array([fold is not None and fold_of(group, fold.K, fold.seed) == fold.k for group in groups], bool)


def same_partition(folds: Sequence[Fold | None]) -> bool:
    """Whether models belong together: none has a fold, or all have one, dealt alike.

    >>> one_deal([Fold(1, 5, 0), Fold(2, 5, 0)]), one_deal([Fold(1, 5, 0), None]), one_deal([Fold(1, 5, 0), Fold(2, 5, 1)])
    (True, False, False)
    """
    return len({fold and (fold.K, fold.seed) for fold in folds}) == 1


def models_eligible(folds: Sequence[Fold | None], groups: Sequence[str], trained_on: Sequence[bool]) -> np.ndarray:
    """Which of M models of one deal answer for which of N rows: bool [M, N].

    For a row that models were trained on only those answer that left its group out; for any other row all do.
    """
    allowed = np.array([left_out(groups, fold) if fold else np.ones(len(groups), bool) for fold in folds])
    return allowed | ~np.asarray(trained_on, bool)


def pairs(dense: Sequence[Fold | None], pruned: Sequence[Fold | None]) -> list[tuple[int, int]]:
    """Which pruned model is compared with which dense one, as places in both: with the one at its place where as many of the same
    folds are given on both sides, else with each one of its fold.

    >>> pairs([None, None], [None, None]), pairs([None, None], [None])
    ([(0, 0), (1, 1)], [(0, 0), (1, 0)])
    """
    if list(dense) == list(pruned):
        return [(place, place) for place in range(len(dense))]
    return [(i, j) for i, one in enumerate(dense) for j, other in enumerate(pruned) if one == other]
