"""Annotated boxes of any frame into the boxes of a row, or the reason why the sample must be left out."""

from collections.abc import Sequence

import numpy as np

from htltools.core.geometry.boxes import area, clipped, scaled, single_box

DECIMALS = 3  # of a pixel
LOSS = 0.2  # share of a box outside its image from which on it may have been drawn on another one


def fitted_boxes(
    boxes: Sequence[Sequence[float]], frame: tuple[float, float], size: tuple[int, int], one_box: str = "all"
) -> tuple[list[list[float]], str | None]:
    """Boxes B x 4 of a frame (width, height) as boxes of an image of that size, cut at its border.

    `one_box`: `largest` or `union` make one box of several, `all` leaves them. The second value is the reason why a box is
    of no use (it is empty, or wholly outside the image), else None.

    >>> fitted_boxes([[300, 225, 660, 450]], (600, 450), (200, 150))
    ([[100.0, 75.0, 200.0, 150.0]], None)
    """
    if not len(boxes):
        return [], None
    given = np.asarray(boxes, float)
    if not np.isfinite(given).all():
        return [], "a box is not finite"
    if (area(given) == 0).any():
        return [], f"the box {as_lists(given[area(given) == 0][0])} is empty"
    fitted = scaled(given, frame, size)
    inside = np.round(clipped(fitted, size), DECIMALS)
    lost = area(inside) == 0
    if lost.any():
        return [], f"the box {as_lists(np.round(fitted[lost][0], DECIMALS))} lies outside its image of {size[0]}x{size[1]}"
    if one_box != "all":
        inside = single_box(inside, one_box)[None]
    return as_lists(inside), None


def border_loss(boxes: Sequence[Sequence[float]], frame: tuple[float, float], size: tuple[int, int]) -> str | None:
    """What the first of the boxes B x 4 of a frame that loses much of its area at the border of its image loses there; None: none does.

    >>> border_loss([[60, 20, 140, 60]], (100, 80), (100, 80))
    'the box [60.0, 20.0, 140.0, 60.0] loses 50% of its area at the border of its image of 100x80'
    """
    fitted = scaled(np.asarray(boxes, float).reshape(-1, 4), frame, size)
    whole = area(fitted)
    lost = 1 - np.divide(area(clipped(fitted, size)), whole, out=np.ones_like(whole), where=whole > 0)
    if not (lost > LOSS).any():
        return None
    first = int(np.flatnonzero(lost > LOSS)[0])
    box, (width, height) = as_lists(np.asarray(boxes[first], float)), size
    return f"the box {box} loses {lost[first]:.0%} of its area at the border of its image of {width}x{height}"


def as_lists(values: np.ndarray) -> list:
    """The values as lists, with 0 for -0."""
    return (values + 0.0).tolist()
