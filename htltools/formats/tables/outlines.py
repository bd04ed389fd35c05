"""Outlines of objects as COCO has them: polygons [[x, y, x, y, ...], ...], or run lengths {"size": [h, w], "counts"}."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from htltools.formats.rows.objects import SIDE
from htltools.formats.rows.row import Box

Outline = list[list[float]] | dict[str, Any]
ELLIPSE = 64  # corners of the polygon of an ellipse
COORDINATES = 6  # of the smallest polygon


def checked_number(value: Any) -> float:
    """A number of a box or outline.

    Raises: ValueError where it is no number, or beyond SIDE.
    """
    if type(value) in (int, float) and -SIDE <= value <= SIDE:
        return value
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except ValueError:
        number = float("nan")
    if not abs(number) <= SIDE:
        raise ValueError(f"{str(value)[:40]!r} is no number of a box")
    return number


def checked_outline(value: Any) -> Outline | None:
    """Polygons or run lengths as they should be; None where nothing is drawn. A single polygon may stand without its list.

    >>> checked_outline([1, 1, 3, 1, 3, 2]), checked_outline([[1, 1, 3, 2]]), checked_outline([])
    ([[1, 1, 3, 1, 3, 2]], None, None)

    Raises: ValueError where it is neither.
    """
    if not value:
        return None
    try:
        return checked_runs(value) if isinstance(value, dict) else checked_polygons(value)
    except (TypeError, KeyError, AttributeError, OverflowError):
        raise ValueError("its outline is neither polygons nor run lengths") from None


def checked_polygons(value: Any) -> list[list[float]] | None:
    """The polygons that have three points or more; None where none has."""
    nested = value if isinstance(value[0], (list, tuple)) else [value]
    polygons = [[checked_number(number) for number in polygon] for polygon in nested if len(polygon) >= COORDINATES]
    if any(len(polygon) % 2 for polygon in polygons):
        raise ValueError("a polygon of its outline has half a point")
    return polygons or None


def checked_runs(value: dict[str, Any]) -> dict[str, Any] | None:
    """Run lengths whose size and counts have the right types; None where there are no counts."""
    height, width = value["size"]
    counts = value["counts"]
    if type(height) is not int or type(width) is not int or not (0 < height <= SIDE and 0 < width <= SIDE):
        raise ValueError("its run lengths have no size [height, width]")
    if isinstance(counts, str):
        if not (counts.isascii() and counts.isprintable()):
            raise ValueError("its run lengths are damaged")
    elif any(type(count) is not int or not 0 <= count <= height * width for count in counts) or sum(counts) != height * width:
        raise ValueError("its run lengths do not fill its size")
    return {"size": [height, width], "counts": counts} if counts else None


def box_of_outline(outline: Outline) -> Box:
    """The tight box around an outline.

    >>> box_of_outline([[1, 1, 3, 1, 3, 2]]), box_of_outline({"size": [2, 3], "counts": [2, 2, 2]})
    ([1, 1, 3, 2], [1.0, 0.0, 2.0, 2.0])

    Raises: ValueError where it holds no pixel.
    """
    if not isinstance(outline, dict):
        x, y = ([number for polygon in outline for number in polygon[axis::2]] for axis in (0, 1))
        return [min(x), min(y), max(x), max(y)]
    from pycocotools import mask  # of annotations with run lengths alone

    runs = outline if isinstance(outline["counts"], str) else mask.frPyObjects(outline, *outline["size"])
    left, top, width, height = (float(number) for number in mask.toBbox(runs))
    return [left, top, left + width, top + height]


def is_rectangle(outline: Outline, box: Box) -> bool:
    """Whether an outline says no more than the box.

    >>> is_rectangle([[1, 1, 3, 1, 3, 2, 1, 2]], [1, 1, 3, 2]), is_rectangle([[1, 1, 3, 1, 3, 2]], [1, 1, 3, 2])
    (True, False)
    """
    if isinstance(outline, dict) or len(outline) != 1 or len(outline[0]) not in (8, 10):
        return False
    corners = {(round(x, 2), round(y, 2)) for x, y in zip(outline[0][::2], outline[0][1::2])}
    return corners == {(round(x, 2), round(y, 2)) for x in box[::2] for y in box[1::2]}


def runs_of_rows(counts: list[int], left: int, top: int, width: int, height: int, frame: tuple[int, int]) -> dict[str, Any]:
    """Run lengths, row by row, of a piece of an image, as those of the whole image of (width, height), column by column as COCO has them.

    >>> runs_of_rows([1, 3], 1, 0, 2, 2, (4, 3))
    {'size': [3, 4], 'counts': [4, 1, 1, 2, 4]}

    Raises: ValueError where they do not fill the piece, or the piece leaves the image.
    """
    if min(width, height) < 1 or sum(counts) != width * height or min(counts) < 0:
        raise ValueError("its run lengths do not fill its size")
    if min(left, top) < 0 or left + width > frame[0] or top + height > frame[1]:
        raise ValueError("its mask leaves the image")
    return runs_of_mask(np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width), frame, left, top)


def runs_of_mask(inside: np.ndarray, frame: tuple[int, int], left: int = 0, top: int = 0) -> dict[str, Any]:
    """Run lengths, column by column as COCO has them, of an image of (width, height) that a mask, bool [h, w], is a piece of.

    Raises: ValueError where the mask is empty.
    """
    columns, rows = np.nonzero(inside.T)
    places = (left + columns) * frame[1] + top + rows
    if not len(places):
        raise ValueError("its mask is empty")
    first = np.flatnonzero(np.diff(places, prepend=-2) > 1)
    starts, ends = places[first], places[np.append(first[1:], len(places)) - 1] + 1
    edges = np.ravel((starts, ends), order="F")
    return {"size": [frame[1], frame[0]], "counts": np.diff(edges, prepend=0, append=frame[0] * frame[1]).tolist()}


def ellipse(centre: tuple[float, float], half_axes: tuple[float, float], degrees: float = 0.0) -> list[list[float]]:
    """An ellipse as a polygon, turned by degrees, clockwise as images show it."""
    angles = [2 * math.pi * number / ELLIPSE for number in range(ELLIPSE)]
    points = [(centre[0] + half_axes[0] * math.cos(angle), centre[1] + half_axes[1] * math.sin(angle)) for angle in angles]
    return turned_polygon(points, degrees, centre)


def turned_polygon(corners: Sequence[tuple[float, float]], degrees: float, centre: tuple[float, float] | None = None) -> list[list[float]]:
    """Corners turned around a centre, by default their mean, clockwise as images show it.

    >>> [round(number, 9) for number in turned_polygon([(0, 0), (4, 0), (4, 2), (0, 2)], 90)[0]]
    [3.0, -1.0, 3.0, 3.0, 1.0, 3.0, 1.0, -1.0]
    """
    x0, y0 = centre or (sum(x for x, _ in corners) / len(corners), sum(y for _, y in corners) / len(corners))
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = [(x0 + (x - x0) * cosine - (y - y0) * sine, y0 + (x - x0) * sine + (y - y0) * cosine) for x, y in corners]
    return [[number for point in turned for number in point]]
