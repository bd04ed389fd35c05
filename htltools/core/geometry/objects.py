"""Several objects an image, as arrays of one shape: places for M objects, of which some are empty.

Annotated objects are float [N, M, 5]: x0, y0, x1, y1 as shares of the sides, and the number of the class, from 0. Predicted
objects are [N, D, 6], the highest score first: the same, and the score in (0, 1]. An empty place has the class -1 and zeros. An
image that is not annotated, or for which its model is not eligible, is unknown: all NaN.
"""

from collections.abc import Iterable, Sequence

import numpy as np

EMPTY = -1  # the class of a place without an object


def packed(objects: Iterable[np.ndarray | None], columns: int) -> np.ndarray:
    """Objects of N images, [n, columns] each or None where they are unknown, as one array float64 [N, M, columns], M >= 1.

    They are taken one by one, so that they need not all be in memory.

    >>> packed([np.array([[0, 0, 0.5, 1, 2]]), np.zeros((0, 5)), None], 5).tolist()
    [[[0.0, 0.0, 0.5, 1.0, 2.0]], [[0.0, 0.0, 0.0, 0.0, -1.0]], [[nan, nan, nan, nan, nan]]]
    """
    values, counts = bytearray(), list[int]()
    for own in objects:
        counts.append(-1 if own is None else len(own))
        values += b"" if own is None else np.ascontiguousarray(own, float).tobytes()
    number = np.array(counts, int)
    array = np.zeros((len(number), max(number.max(initial=1), 1), columns))
    array[:, :, 4] = EMPTY
    array[np.arange(array.shape[1]) < number[:, None]] = np.frombuffer(values).reshape(-1, columns)
    array[number < 0] = np.nan
    return array


def stacked(several: Sequence[np.ndarray]) -> np.ndarray:
    """K arrays of objects [N, D, ...], padded with empty places to the largest D: [K, N, D, ...]. Unknown images stay NaN."""
    most = max(own.shape[1] for own in several)
    empty = np.array([0, 0, 0, 0, EMPTY, 0], several[0].dtype)
    out = []
    for own in several:
        more = np.tile(empty[: own.shape[2]], (len(own), most - own.shape[1], 1))
        more[~is_known(own)] = np.nan
        out.append(np.concatenate([own, more], 1))
    return np.stack(out)


def joined(pieces: Sequence[np.ndarray]) -> np.ndarray:
    """Objects [N_i, M_i, C] of several sets of images, one set after the other: [sum of N_i, largest M_i, C]."""
    most = max(own.shape[1] for own in pieces)
    out = np.zeros((sum(map(len, pieces)), most, pieces[0].shape[2]))
    out[..., 4] = EMPTY
    start = 0
    for own in pieces:
        place = out[start : start + len(own)]
        place[:, : own.shape[1]] = own
        place[~is_known(own)] = np.nan
        start += len(own)
    return out


def first_known(several: np.ndarray) -> np.ndarray:
    """For each image the first of K predictions [K, N, D, 6] that is known: [N, D, 6]."""
    return several[is_known(several).argmax(0), np.arange(several.shape[1])]


def present(objects: np.ndarray) -> np.ndarray:
    """Which places hold an object: [..., M, 5 or 6] to bool [..., M]."""
    return objects[..., 4] >= 0


def is_known(objects: np.ndarray) -> np.ndarray:
    """Which images are known, those without objects too: [..., M, 5 or 6] to bool [...]."""
    return ~np.isnan(objects[..., 0, 4])


def above(predicted: np.ndarray, threshold: float) -> np.ndarray:
    """The predicted objects [..., D, 6] of at least that score; the places of the others are empty."""
    kept = predicted.copy()
    kept[predicted[..., 5] < threshold] = (0, 0, 0, 0, EMPTY, 0)
    return kept
