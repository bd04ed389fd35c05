"""How samples are cut into batches."""

import numpy as np


def batches(count: int, size: int) -> list[np.ndarray]:
    """Indices 0 .. count-1 in order, in pieces of at most `size`."""
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]


def number_of_batches(count: int, size: int, least: int = 2) -> int:
    """How many nearly equal batches of at most `size` samples come to `count`; fewer and larger ones where one had fewer than `least`.

    >>> number_of_batches(63, 32), number_of_batches(65, 32), number_of_batches(3, 2), number_of_batches(1, 2)
    (2, 3, 1, 1)
    """
    return max(min(-(-count // size), count // least), 1)
