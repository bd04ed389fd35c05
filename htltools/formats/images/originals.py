"""The original image files that rows name: where they are, and parts of them."""

import os
from contextlib import suppress
from pathlib import Path

import numpy as np

from htltools.errors import DataError, MissingInput
from htltools.formats.images.image import read_image
from htltools.formats.remote.address import address_of
from htltools.formats.rows.row import Row

Window = tuple[float, float, float, float]  # x0, y0, x1, y1 as shares of an image's sides
WHOLE: Window = (0.0, 0.0, 1.0, 1.0)
MOST_PIXELS = 60_000_000  # of an image that a part is cut out of


def original_path(row: Row, folder: Path | None = None) -> Path | None:
    """Where the original image of a row is, if it is there. `folder`: where its source lies now, instead of where it was prepared."""
    if not row.file:
        return None
    path = Path(os.path.join(folder or row.get("source_folder") or "", row.file))
    if address_of(path):
        from htltools.formats.remote.cache import local_path

        with suppress(MissingInput, DataError):
            return local_path(path)
        return None
    return path if path.is_file() else None


def read_original(path: Path, size: tuple[int, int], longest: int, window: Window = WHOLE) -> np.ndarray:
    """A window of an image, its longer side at most `longest` pixels, never enlarged: uint8 [H, W, 3].

    size: (width, height) that the image should have.

    Raises: DataError where it cannot be decoded, or has another size.
    """
    x0, y0, x1, y1 = window
    scale = min(longest / max((x1 - x0) * size[0], (y1 - y0) * size[1]), 1, (MOST_PIXELS / (size[0] * size[1])) ** 0.5)
    width, height = (max(round(side * scale), 1) for side in size)
    pixels, found = read_image(path, (height, width))
    if found != tuple(size):
        raise DataError(f"it is {found[0]}x{found[1]} now, and was {size[0]}x{size[1]}")
    left, top, right, bottom = round(x0 * width), round(y0 * height), round(x1 * width), round(y1 * height)
    return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


def window_around(boxes: np.ndarray, factor: float) -> Window:
    """The window around all boxes [N, 4], shares of the image's sides, of `factor` times their sides, moved into the image.

    Without boxes it is the whole image.

    >>> window_around(np.array([[0.5, 0.0, 0.75, 0.25]]), 2)
    (0.375, 0.0, 0.875, 0.5)
    """
    if not len(boxes):
        return WHOLE
    low, high = np.clip(boxes[:, :2].min(0), 0, 1), np.clip(boxes[:, 2:].max(0), 0, 1)
    half = np.minimum((high - low) * factor, 1) / 2
    centre = np.clip((low + high) / 2, half, 1 - half)
    x0, y0, x1, y1 = (float(edge) for edge in np.concatenate([centre - half, centre + half]))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else WHOLE
