"""Run lengths of masks in a cell, as Kaggle has them: "start length start length", from 1, down the columns or along the rows."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def runs_in(cell: str) -> list[int] | None:
    """The starts and lengths in a cell, in turn; [] for "-1", which says that there is no lesion; None where it holds something else.

    >>> runs_in("5 2 9 2"), runs_in("-1"), runs_in("5 2 9"), runs_in("5 9 6 2")
    ([5, 2, 9, 2], [], None, None)
    """
    if cell == "-1":
        return []
    words = cell.split()
    if not words or len(words) % 2 or not all(word.isdecimal() and len(word) < 16 for word in words):
        return None
    runs = [int(word) for word in words]
    apart = all(start + length <= after for (start, length), (after, _) in pairwise(zip(runs[::2], runs[1::2], strict=True)))
    return runs if apart and runs[0] >= 1 else None


def runs_of(cells: Sequence[str]) -> list[list[int] | None] | None:
    """The runs in each cell of a column, None in an empty one; None where one holds something else."""
    runs = [runs_in(cell) if cell else None for cell in cells]
    return None if any(cell and own is None for cell, own in zip(cells, runs, strict=True)) else runs


def mask_of_runs(runs: Sequence[int], size: tuple[int, int]) -> np.ndarray | None:
    """The mask, bool [height, width], of runs in an image of that size (width, height); None where they do not fit into it.

    The order of pixels, down the columns or along the rows, is the one in which runs touch the next ones more: both are in use.

    >>> mask_of_runs([2, 1, 5, 1], (4, 3)).tolist()[1]
    [True, True, False, False]
    """
    width, height = size
    starts, lengths = np.array(runs[::2], int) - 1, np.array(runs[1::2], int)
    if len(starts) and starts[-1] + lengths[-1] > width * height:
        return None
    by_rows = touching(starts, lengths, width) > touching(starts, lengths, height)
    pixels = np.zeros(width * height, bool)
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        pixels[start : start + length] = True
    return pixels.reshape(height, width) if by_rows else pixels.reshape(width, height).T


def touching(starts: np.ndarray, lengths: np.ndarray, side: int) -> int:
    """How many pixels of runs would have one of the next run beside them in an image whose lines have `side` pixels."""
    shifted = starts[:-1] + side
    ends = np.minimum(starts[1:] + lengths[1:], shifted + lengths[:-1])
    return int(np.maximum(ends - np.maximum(starts[1:], shifted), 0).sum())
