"""Cross-fitting: which training rows a model leaves out, and so which models are eligible to score which row.

Reference: Chernozhukov et al., "Double/debiased machine learning", 2018 (arXiv 1608.00060), for the idea: a sample is scored by a
model that was not fitted to it. Deviation: the fold of a group is a hash of its name, so that folds are only about equally large,
and a group keeps its fold when others are added.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Fold:
    """The training rows that a model leaves out: the `k`-th of `K` folds, 1 <= k <= K, of the partition of that seed."""

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
    # not the digest of `sampling.splits`: among the groups of one split that is not evenly distributed
    digest = hashlib.sha256(f"fold/{count}/{seed}:{group}".encode("utf-8", "surrogatepass")).digest()
    return 1 + (int.from_bytes(digest[:8]) * count >> 64)


def left_out(groups: Sequence[str], fold: Fold | None) -> np.ndarray:
    """Whether a model leaves out samples of these N groups: bool [N]; none where it has no fold."""
    return np.array([fold is not None and fold_of(group, fold.K, fold.seed) == fold.k for group in groups], bool)


def same_partition(folds: Sequence[Fold | None]) -> bool:
    """Whether the folds of several models are of one partition: none has a fold, or all have one of the same K and seed.

    >>> same_partition([Fold(1, 5, 0), Fold(2, 5, 0)]), same_partition([Fold(1, 5, 0), None]), same_partition([None, None])
    (True, False, True)
    """
    return len({fold and (fold.K, fold.seed) for fold in folds}) == 1


def models_eligible(folds: Sequence[Fold | None], groups: Sequence[str], trained_on: Sequence[bool]) -> np.ndarray:
    """Which of M models of one partition are eligible for which of N rows: bool [M, N].

    For a row of the training split those that left its group out; for any other row all of them.
    """
    allowed = np.array([left_out(groups, fold) if fold else np.ones(len(groups), bool) for fold in folds])
    return allowed | ~np.asarray(trained_on, bool)


def pairs_by_place(dense: int, pruned: int) -> list[tuple[int, int]]:
    """Which of so many dense predictions is compared with which of so many pruned ones, as positions in both: with that at its own
    position where there are as many on both sides, else with each one.

    >>> pairs_by_place(2, 2), pairs_by_place(2, 1)
    ([(0, 0), (1, 1)], [(0, 0), (1, 0)])
    """
    return [(i, i) for i in range(dense)] if dense == pruned else [(i, j) for i in range(dense) for j in range(pruned)]
