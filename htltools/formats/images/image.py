"""Images and masks: JPEG, JPEG 2000, PNG, TIFF, BMP, WebP, GIF and PNM, of any depth, as uint8 in a fixed frame.

Of several pages or frames the first is read. EXIF orientation is applied. Transparent parts become black.
"""

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from htltools.errors import DataError
from htltools.formats.images.compressed_headers import check_scans, file_bytes
from htltools.formats.images.deep_grey import is_deep, squashed_deep

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".pnm", ".jp2"}
)
FORMATS = "JPEG", "JPEG2000", "PNG", "TIFF", "BMP", "WEBP", "GIF", "PPM"  # for some others Pillow would start another program
LONGEST_SIDE = 2**20
Doubt = tuple[str, str]  # kind, reason
PAGES: Doubt = "an image of several pages", "the first of its pages is read"  # those of a JPEG (MPO) are mostly previews
ORIENTATION, APPLIED = 0x0112, "orientation_applied"
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF orientation; from 5 on, width and height are swapped


def read_image(path: str | Path, frame: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """An image squashed to a frame (H, W): uint8 [H, W, 3], RGB, and its original (width, height).

    A grey image of more than 8 bits is scaled as `black_and_white` says. The filter is bilinear; a JPEG in colour is decoded no larger
    than needed, which shifts a value by one grey level or less on average.

    Raises: DataError with a short reason where it cannot be decoded.
    """
    return read_turned_image(path, frame)[:2]


class SquashedImage(NamedTuple):
    """An image squashed to a frame (H, W), and what is known of its original.

    rendering: which values are black and white, or None where all is as stored. orientation: by EXIF, that it was turned by, 1 to 8.
    """

    pixels: np.ndarray  # uint8 [H, W, 3], RGB
    size: tuple[int, int]  # width, height
    rendering: str | None = None
    orientation: int = 1
    doubts: tuple[Doubt, ...] = ()


def read_turned_image(path: str | Path, frame: tuple[int, int]) -> SquashedImage:
    """As `read_image`, with what was done to the image.

    Raises: DataError with a short reason where it cannot be decoded.
    """
    from htltools.formats.images.jpeg import squashed_jpeg

    with decoding(path) as image:
        turn = turn_of(image)
        orientation = image.info.get(APPLIED, turn)
        size = image.size[::-1] if turn >= 5 else image.size
        target = frame if turn >= 5 else frame[::-1]  # (width, height) before the turn
        rendering = None
        doubts = (PAGES,) if image.format != "MPO" and getattr(image, "is_animated", False) else ()
        pixels = squashed_jpeg(image, target)
        if pixels is None and is_deep(image):
            grey, rendering = squashed_deep(image, target)
            pixels = np.asarray(Image.fromarray(grey).convert("RGB"))
        elif pixels is None:
            pixels = np.asarray(squashed_image(image, target))
    pixels = np.asarray(Image.fromarray(pixels).transpose(TURNS[turn])) if turn in TURNS else pixels
    return SquashedImage(pixels, size, rendering, orientation, doubts)


def turn_of(image: Image.Image) -> int:
    """The EXIF orientation that is still to be applied to an image of `decoding`; 1, upright, where it is none of the eight.

    Pillow turns a TIFF itself as it is loaded, and only a TIFF.
    """
    turn = 1 if image.format == "TIFF" else image.getexif().get(ORIENTATION)
    return turn if isinstance(turn, int) and turn in TURNS else 1


def squashed_image(image: Image.Image, frame: tuple[int, int]) -> Image.Image:
    """An opened image of up to 8 bits, squashed to a frame (width, height), in RGB."""
    image.draft(None, (2 * frame[0], 2 * frame[1]))  # JPEG: decode no larger than needed
    image = image if image.mode == "L" and not image.has_transparency_data else over_black(image)  # grey: one channel to resize, not three
    return image.resize(frame, Image.Resampling.BILINEAR, reducing_gap=2).convert("RGB")


def squashed_mask(lesion_mask: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
    """A mask [h, w] in another frame (H, W): uint8 [H, W], 255 where at least half of the pixel is lesion, else 0."""
    image = Image.fromarray(lesion_mask.astype(np.uint8) * np.uint8(255)).resize(frame[::-1], Image.Resampling.BOX)
    return (np.asarray(image) >= 128) * np.uint8(255)


def squashed_array(pixels: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
    """An image uint8 [h, w, 3] in another frame (H, W): uint8 [H, W, 3]."""
    return np.asarray(Image.fromarray(pixels).resize(frame[::-1], Image.Resampling.BILINEAR, reducing_gap=2))


def over_black(image: Image.Image) -> Image.Image:
    """The image in RGB, over black where it is transparent."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")
    return image.convert("RGB")


@contextmanager
def decoding(path: str | Path) -> Iterator[Image.Image]:
    """An opened image; any error of Pillow becomes a DataError with a short reason, without the path.

    A TIFF is loaded, and so turned; the orientation that it had stays in its `info` as APPLIED.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fatal problems are raised; the others concern metadata
            if not os.path.isfile(path):  # a pipe would wait
                raise DataError("no regular file" if os.path.exists(path) else os.strerror(errno.ENOENT).lower())
            # by name, Pillow (13.0) maps an uncompressed grey TIFF to be turned by 90 degrees with rows of the wrong length
            with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
                if max(image.size) > LONGEST_SIDE:  # Pillow would raise a MemoryError
                    raise DataError(f"a side of more than {LONGEST_SIDE} pixels")
                if image.format in ("JPEG", "MPO"):
                    check_scans(file_bytes(image))
                elif image.format == "TIFF":
                    image.info[APPLIED] = orientation if (orientation := image.getexif().get(ORIENTATION)) in TURNS else 1
                    image.load()
                yield image
    except (DataError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise DataError("no image in a known format") from None
    except Image.DecompressionBombError:
        raise DataError(f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} million pixels") from None
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise DataError(reason_of(error)) from None


def reason_of(error: Exception) -> str:
    """Why an image could not be decoded, in a few words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if "truncated" in str(error).lower():
        return "the file is cut short"
    return f"cannot be decoded ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
