"""Two sets of objects on the same image, matched one to one so that they overlap as much as they can.

Objects as in `geometry.objects`. Only objects of one class are matched. An object without a counterpart is a full disagreement.
"""

from collections.abc import Callable

import numpy as np

from htltools.core.geometry.boxes import DIGITS, iou
from htltools.core.geometry.objects import is_known, present

CLOSE = 1e-3  # objects whose scores differ by no more may change their order


def best_match(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best match of two sets [n, 5+] and [m, 5+]: positions in each, int [p] twice, of the pairs that overlap.

    The sum of IoU over pairs is the largest there is (the assignment problem, by scipy).

    >>> best_match(np.array([[0, 0, 1, 1, 0], [2, 0, 3, 1, 0]]), np.array([[2, 0, 3, 1.5, 0], [0, 0, 1, 1, 1]]))
    (array([1]), array([0]))
    """
    from scipy.optimize import linear_sum_assignment

    overlaps = iou(one[:, None, :4], other[None, :, :4]) * (one[:, None, 4] == other[None, :, 4])
    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    meet = overlaps[rows, columns] > 0
    return rows[meet], columns[meet]


def set_overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Sum of the IoU of matched objects over the larger number of objects: [..., N, M, 5+] twice give [..., N], in [0, 1].

    1 = the same objects, or none on either side; NaN where a side is unknown. Of one object on either side it is their IoU.

    >>> pair, single = np.array([[[0, 0, 1, 1, 0], [2, 0, 3, 1, 0.0]]]), np.array([[[0, 0, 1, 1, 0.0]]])
    >>> set_overlap(pair, single), set_overlap(pair, pair)
    (array([0.5]), array([1.]))
    """
    return mean_over_matches(one, other, lambda a, b: iou(a, b).sum()).round(DIGITS)


def set_shift(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean distance of the edges of matched objects, 1 for each without a counterpart: as `set_overlap`, in [0, 1]; 0 = the same."""
    return 1 - mean_over_matches(one, other, lambda a, b: (1 - np.abs(a - b).mean(-1)).sum())


def mean_over_matches(one: np.ndarray, other: np.ndarray, likeness: Callable[[np.ndarray, np.ndarray], float]) -> np.ndarray:
    """Sum of the likeness of matched boxes over the larger number of objects, of each image: [...].

    1 where both sides are empty, NaN where one is unknown.
    """
    shape = np.broadcast_shapes(one.shape[:-2], other.shape[:-2])
    one, other = (np.broadcast_to(side, shape + side.shape[-2:]).reshape(-1, *side.shape[-2:]) for side in (one, other))
    in_one, in_other = present(one), present(other)
    values = np.full(len(one), np.nan)
    for i in np.flatnonzero(is_known(one) & is_known(other)):
        a, b = one[i][in_one[i]], other[i][in_other[i]]
        if not len(a) and not len(b):
            values[i] = 1.0
        elif not len(a) or not len(b):
            values[i] = 0.0
        else:
            rows, columns = best_match(a, b)
            values[i] = likeness(a[rows, :4].astype(float), b[columns, :4].astype(float)) / max(len(a), len(b))
    return values.reshape(shape)


def nearest_first(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """IoU of each object of `one` [N, D, 5+] with the object of `other` [N, M, 5+] that stands for it: [N, D] in [0, 1].

    On each image objects of one class are matched one to one, the pair of the highest IoU first; 0 where no object is left that overlaps,
    and in empty places. Unlike in `best_match`, no pair gives way for the sum of all.

    >>> one, other = np.array([[[0, 0, 1, 1, 0], [0, 0, 1, 0.5, 0.0]]]), np.array([[[0, 0, 1, 0.9, 0.0]]])
    >>> nearest_first(one, other)
    array([[0.9, 0. ]])
    """
    overlaps = iou(one[:, :, None, :4], other[:, None, :, :4]) * (one[:, :, None, 4] == other[:, None, :, 4])
    overlaps *= present(one)[:, :, None] & present(other)[:, None, :]
    reached = np.zeros(one.shape[:2])
    for own, pairs in zip(reached, overlaps):
        while (largest := pairs.max(initial=0)) > 0:
            row, column = np.unravel_index(pairs.argmax(), pairs.shape)
            own[row] = largest
            pairs[row], pairs[:, column] = 0, 0
    return reached


def object_difference(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference of any edge or score between two predictions for the same images, [B, D, 6] each, in [0, 1]; NaN for a NaN.

    Each object is compared with the most similar one of its class on the other side; an object without one differs by its score.
    Objects that score hardly more than the last place are skipped: which of equals comes last is no difference.
    """
    if np.isnan(one).any() or np.isnan(other).any():
        return float("nan")
    largest = 0.0
    for ours, theirs in [*zip(one, other), *zip(other, one)]:
        least = max(ours[-1, 5], theirs[-1, 5]) + CLOSE
        theirs = theirs[present(theirs)]
        for each in ours[present(ours) & (ours[:, 5] > least)]:
            same = theirs[theirs[:, 4] == each[4]]
            apart = np.abs(same[:, [0, 1, 2, 3, 5]] - each[[0, 1, 2, 3, 5]]).max(1)
            largest = max(largest, float(min(apart, default=each[5])))
    return largest
