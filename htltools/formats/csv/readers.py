"""One set of boxes from those of several readers of one image."""

from collections import defaultdict
from collections.abc import Collection, Sequence

import numpy as np

RULES = "union", "first", "majority"
SAME = 0.5  # IoU from which on boxes of two readers are one object

Marked = tuple[tuple[float, ...], str, str]  # box, class, reader
Object = tuple[list[float], str]  # box, class


def agreed_boxes(marked: Sequence[Marked], readers: Collection[str], rule: str) -> list[Object]:
    """The boxes of one image that several readers looked at, with their classes, in the order of the boxes.

    Boxes of one class that overlap with an IoU of at least SAME are one object, connected ones as well; its box is their mean.
    `union`: all objects; `majority`: those that more than half of the readers marked; `first`: the boxes of the first reader by name.
    """
    if rule == "first":
        first = min(readers)
        return sorted((list(box), kind) for box, kind, reader in marked if reader == first)
    objects: list[Object] = []
    for kind in sorted({kind for _, kind, _ in marked}):
        own = sorted((box, reader) for box, each, reader in marked if each == kind)
        boxes = np.array([box for box, _ in own])
        together: dict[int, list[int]] = defaultdict(list)
        for i, number in enumerate(overlapping(boxes)):
            together[number].append(i)
        for members in together.values():
            votes = len({own[i][1] for i in members})
            if rule == "union" or votes * 2 > len(readers):
                objects.append((boxes[members].mean(0).tolist(), kind))
    return sorted(objects)


def overlapping(boxes: np.ndarray) -> list[int]:
    """The number of the object of each of B boxes sorted by x0: those connected by an IoU of at least SAME are one.

    >>> overlapping(np.array([[0, 0, 4, 4.0], [0, 0, 4, 5], [3, 3, 9, 9]]))
    [0, 0, 2]
    """
    numbers = np.arange(len(boxes))
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    ends = np.searchsorted(boxes[:, 0], boxes[:, 2])  # later boxes begin right of this one
    for i, end in enumerate(ends.tolist()):
        others = slice(i + 1, end)
        sides = np.minimum(boxes[i, 2:], boxes[others, 2:]) - np.maximum(boxes[i, :2], boxes[others, :2])
        shared = np.prod(np.maximum(sides, 0), axis=1)
        same = np.flatnonzero(shared >= SAME * (areas[i] + areas[others] - shared)) + i + 1
        for number in np.unique(numbers[same]).tolist():
            numbers[numbers == number] = numbers[i]
    return numbers.tolist()
