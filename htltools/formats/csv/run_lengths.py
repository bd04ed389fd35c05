"""Run lengths of masks in a cell, as Kaggle has them: "start length start length", from 1, down the columns or along the rows.

Starts count from the first pixel and rise, or, as SIIM-ACR has them, each counts from the end of the run before it.
"""

from collections.abc import Sequence
from itertools import accumulate, chain, pairwise

import numpy as np

MANY = 20  # cells of several runs that tell which of both kinds of starts they have
BY_CHANCE = 0.05  # the largest share of cells whose starts rise although they count from the run before


def runs_in(cell: str) -> list[int] | None:
    """The starts and lengths in a cell, in turn; [] for "-1", which says that there is no lesion; None where it holds something else.

    >>> runs_in("5 2 9 2"), runs_in("-1"), runs_in("5 2 9"), runs_in("5 0")
    ([5, 2, 9, 2], [], None, None)
    """
    if cell == "-1":
        return []
    words = cell.split()
    if not words or len(words) % 2 or not all(word.isdecimal() and len(word) < 16 for word in words):
        return None
    runs = [int(word) for word in words]
    return runs if all(runs[1:]) else None


def runs_of(cells: Sequence[str]) -> tuple[list[list[int] | None] | None, str, bool]:
    """The runs in each cell of a column, starts counted from the first pixel, None in an empty one; what is to be said of how they were
    read, or ""; and whether that is certain. No runs where a cell holds something else, or starts rise in some cells and not in others.

    >>> runs_of(["5 2 9 2", "", "-1"]), runs_of(["5 9 6 2"])[0], runs_of(["5 9 6 2", "5 2 9 2"])[0]
    (([[5, 2, 9, 2], None, []], '', True), [[6, 9, 21, 2]], None)
    """
    runs = [runs_in(cell) if cell else None for cell in cells]
    several = [own for own in runs if own and len(own) > 2]
    rising = sum(map(rise, several))
    absolute, relative = rising == len(several), rising <= BY_CHANCE * len(several)
    if any(cell and own is None for cell, own in zip(cells, runs, strict=True)) or not (absolute or relative):
        return None, "is not used: not all of it is starts and lengths, or starts rise in some cells and not in others", False
    if not absolute:
        said = (
            f"is read as runs that count from the end of the run before, as SIIM-ACR has them: starts do not rise in {len(several)} cells"
        )
        return [own and counted_from_first(own) for own in runs], said, len(several) >= MANY
    if not all(own[0] for own in runs if own):
        return None, "is not used: a run starts at pixel 0, and the first is 1", False
    return runs, "", True


def rise(runs: Sequence[int]) -> bool:
    """Whether each run starts behind the one before it."""
    return all(start + length <= after for (start, length), (after, _) in pairwise(zip(runs[::2], runs[1::2], strict=True)))


def counted_from_first(runs: Sequence[int]) -> list[int]:
    """Runs whose starts count from the end of the run before, the first one from 0, with starts from the first pixel, which is 1.

    >>> counted_from_first([4, 2, 3, 1])
    [5, 2, 10, 1]
    """
    starts = [end - length + 1 for end, length in zip(list(accumulate(runs))[1::2], runs[1::2], strict=True)]
    return list(chain(*zip(starts, runs[1::2], strict=True)))


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
