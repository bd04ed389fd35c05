"""Selection: training sets in which the hard ones are rare by construction. Pure numpy."""

from collections.abc import Sequence

import numpy as np

from htltools.core.hardness.baselines import chance
from htltools.errors import DataError


def selection(is_hard: np.ndarray, groups: Sequence[str], share: float, count: int | None = None, seed: int = 0) -> np.ndarray:
    """Which of N samples stay where the hard ones shall make up `share` of them: bool [N].

    Groups stay or go as a whole, drawn by seed and name, so that the order of samples does not matter. Without `count` every
    group without a hard sample stays, and of the others as many as come nearest to the share. With it about `count` samples
    stay, as near as whole groups come: first groups with hard samples, then groups without.

    Raises: DataError where there are too few hard samples, or too few others, for `count`.

    >>> selection(np.arange(10) < 4, list("aabcdefghi"), 0.25)
    array([False, False,  True,  True,  True,  True,  True,  True,  True, True])
    """
    names, place, sizes = np.unique(np.array(groups), return_inverse=True, return_counts=True)
    hard = np.bincount(place, is_hard, len(names)).astype(int)  # of each group
    order = np.argsort(chance([f"select/{name}" for name in names.tolist()], seed), kind="stable")
    with_hard, without = order[hard[order] > 0], order[hard[order] == 0]
    stay = np.zeros(len(names), bool)
    if count is None:  # hard / all = share, for all that stay
        stay[without] = True
        stay[drawn(with_hard, hard - share * sizes, share * sizes[without].sum())] = True
        return stay[place]
    wanted = round(share * count)
    if hard.sum() < wanted:
        raise DataError(f"{wanted} hard rows of {count} are wanted, and there are {hard.sum()}", "lower --count or --share")
    stay[drawn(with_hard, hard, wanted)] = True
    others = count - sizes[stay].sum()
    if sizes[without].sum() < others:
        cause = f"{others} rows are wanted beside the {sizes[stay].sum()} drawn with the hard ones, and there are {sizes[without].sum()}"
        raise DataError(cause, "lower --count")
    stay[drawn(without, sizes, others)] = True
    return stay[place]


def drawn(order: np.ndarray, sizes: np.ndarray, total: float) -> np.ndarray:
    """Groups in the order given, as long as they fit into the total, and one more where that comes nearer to it: int.

    >>> drawn(np.array([0, 1, 2, 3]), np.array([3, 9, 1, 4]), 4.6)
    array([0, 2])
    """
    taken, left = [], total
    for group in order:
        if sizes[group] <= left:
            taken.append(group)
            left -= sizes[group]
    rest = order[~np.isin(order, taken)]
    if len(rest):
        last = rest[np.abs(left - sizes[rest]).argmin()]
        taken += [last] if abs(left - sizes[last]) < left else []
    return np.array(taken, int)
