"""Outlines of objects as COCO has them, polygons and run lengths, as masks."""

from typing import Any

import numpy as np
from PIL import Image

from htltools.errors import DataError

COORDINATES = 6  # of the smallest polygon
BEYOND = 1  # widths and heights of the image that a polygon may lie outside of it


def outlined(outline: Any, frame: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    """An object as bool [h, w], of a size (w, h). Polygons are in a frame (width, height); run lengths have the size that they declare.

    Run lengths: {"size": [h, w], "counts": whole numbers, or the text that pycocotools writes}.

    >>> outlined([[1, 1, 3, 1, 3, 2, 1, 2]], (4, 3), (4, 3)).astype(int).tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]

    Raises: DataError with a short reason where it is neither.
    """
    try:
        return run_mask(outline) if isinstance(outline, dict) else polygon_mask(outline, frame, size)
    except (ValueError, TypeError, KeyError, OverflowError, RuntimeError):
        raise DataError("an outline is neither polygons nor run lengths") from None


def polygon_mask(polygons: Any, frame: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    """The union of polygons [[x, y, x, y, ...], ...]."""
    from pycocotools import mask

    width, height = size
    scale, limit = np.divide(size, frame), np.multiply(size, 1 + BEYOND)
    points = [np.reshape(np.asarray(polygon, float), (-1, 2)) * scale for polygon in polygons if len(polygon) >= COORDINATES]
    if not all(np.isfinite(own).all() for own in points):
        raise ValueError
    runs = mask.frPyObjects([np.clip(own, -limit, limit).ravel().tolist() for own in points], height, width) if points else []
    return mask.decode(mask.merge(runs)).astype(bool) if points else np.zeros((height, width), bool)


def run_mask(outline: dict[str, Any]) -> np.ndarray:
    """The mask of run lengths, column by column, the first of them of the ground."""
    height, width = (int(side) for side in outline["size"])
    counts = outline["counts"]
    lengths = np.asarray(unpacked_counts(counts) if isinstance(counts, (str, bytes)) else counts)
    if not 0 < height * width <= 2 * (Image.MAX_IMAGE_PIXELS or 0):
        raise ValueError
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or lengths.min(initial=0) < 0 or lengths.sum() != height * width:
        raise ValueError
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(width, height).T


def unpacked_counts(text: str | bytes) -> list[int]:
    """The run lengths in the text that pycocotools writes: 5 bits a character; from the third on, differences from the last but one.

    Its own decoder leaves memory as it was where the lengths do not fill the mask.
    """
    counts: list[int] = []
    number = shift = 0
    for byte in text.encode("ascii") if isinstance(text, str) else text:
        bits = byte - 48
        if not 0 <= bits < 64 or shift > 50:
            raise ValueError
        number |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            number -= (bits & 16) << (shift - 4)
            counts.append(number + (counts[-2] if len(counts) > 2 else 0))
            number = shift = 0
    return counts


def outline_box(outline: Any, frame: tuple[float, float]) -> list[float] | None:
    """The tight box around the polygons of an object, in their frame; None of run lengths, and where there is no polygon.

    >>> outline_box([[1, 1, 3, 1, 3, 2]], (4, 3)), outline_box({"size": [3, 4], "counts": [12]}, (4, 3))
    ([1.0, 1.0, 3.0, 2.0], None)
    """
    if isinstance(outline, dict):
        return None
    points = [np.reshape(np.asarray(polygon, float), (-1, 2)) for polygon in outline if len(polygon) >= COORDINATES]
    if not points:
        return None
    every = np.concatenate(points)
    return [*every.min(0).tolist(), *every.max(0).tolist()]
