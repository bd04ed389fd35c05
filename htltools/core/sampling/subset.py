"""Subsets of the training samples in which hard ones are rare by construction. Pure numpy."""

from collections.abc import Sequence

import numpy as np

from htltools.core.hardness.baselines import chance
from htltools.errors import DataError


def selection(is_hard: np.ndarray, groups: Sequence[str], share: float, count: int | None = None, seed: int = 0) -> np.ndarray:
    """Which of N samples stay, so that the hard ones make up `share` of them: bool [N].

    Groups stay or go as a whole, drawn by a hash of seed and name, so that the order of samples does not matter. Without `count`
    all groups without a hard sample stay, and of the others as many as come nearest to the share. With it about `count` samples
    stay, as near as whole groups allow: first groups with hard samples are drawn, then groups without.

    Raises: DataError where there are too few hard samples, or too few others, for `count`.

    >>> selection(np.arange(10) < 4, list("aabcdefghi"), 0.25)
    array([False, False,  True,  True,  True,  True,  True,  True,  True, True])
    """
    names, group, sizes = np.unique(np.array(groups), return_inverse=True, return_counts=True)
    hard = np.bincount(group, is_hard, len(names)).astype(int)  # of each group
    order = np.argsort(chance([f"select/{name}" for name in names.tolist()], seed), kind="stable")
    with_hard, without = order[hard[order] > 0], order[hard[order] == 0]
    stay = np.zeros(len(names), bool)
    if count is None:  # hard / all = share, for all that stay
        stay[without] = True
        stay[fill_total(with_hard, hard - share * sizes, share * sizes[without].sum())] = True
        return stay[group]
    wanted = round(share * count)
    if hard.sum() < wanted:
        raise DataError(f"{wanted} hard rows of {count} are wanted, and there are {hard.sum()}", "lower --count or --share")
    stay[fill_total(with_hard, hard, wanted)] = True
    others = count - sizes[stay].sum()
    if sizes[without].sum() < others:
        cause = f"{others} rows are wanted beside the {sizes[stay].sum()} drawn with the hard ones, and there are {sizes[without].sum()}"
        raise DataError(cause, "lower --count")
    stay[fill_total(without, sizes, others)] = True
    return stay[group]


def fill_total(order: np.ndarray, sizes: np.ndarray, total: float) -> np.ndarray:
    """Groups in the order given that fit into the total, and one more where that comes nearer to it: int.

    >>> fill_total(np.array([0, 1, 2, 3]), np.array([3, 9, 1, 4]), 4.6)
    array([0, 2])
    """
    taken, room = [], total
    for group in order:
        if sizes[group] <= room:
            taken.append(group)
            room -= sizes[group]
    rest = order[~np.isin(order, taken)]
    if len(rest):
        nearest = rest[np.abs(room - sizes[rest]).argmin()]
        taken += [nearest] if abs(room - sizes[nearest]) < room else []
    return np.array(taken, int)
