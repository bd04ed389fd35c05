"""Annotated boxes of any frame into the boxes of a row, or the reason why the sample must be left out."""

from collections.abc import Sequence

import numpy as np

from htltools.core.geometry.boxes import area, clipped, scaled, single_box

DECIMALS = 3  # of a pixel


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


def as_lists(values: np.ndarray) -> list:
    """The values as lists, with 0 for -0."""
    return (values + 0.0).tolist()
