"""Images and masks: JPEG, JPEG 2000, PNG, TIFF, BMP, WebP, GIF and PNM, of any depth, as uint8 in a fixed frame.

Of several pages or frames the first is read. EXIF orientation is applied. Transparent parts become black.
"""

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from htltools.errors import DataError
from htltools.formats.images.compressed_headers import check_scans, file_bytes

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".pnm", ".jp2"}
)
FORMATS = "JPEG", "JPEG2000", "PNG", "TIFF", "BMP", "WEBP", "GIF", "PPM"  # for some others Pillow would start another program
LONGEST_SIDE = 2**20
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF orientation; from 5 on, width and height are swapped
DEEP = ("I", "F")  # modes of more than 8 bits per channel, and I;16 with its variants
DEPTHS = 8, 10, 12, 14, 16


def read_image(path: str | Path, frame: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """An image squashed to a frame (H, W): uint8 [H, W, 3], RGB, and its original (width, height).

    A grey image of more than 8 bits is scaled by its depth, the smallest of 8, 10, 12, 14 and 16 bits that holds its
    maximum; floats in [0, 1] are scaled by 1. The filter is bilinear; a JPEG in colour is decoded no larger than needed, which
    shifts a value by one grey level or less on average.

    Raises: DataError with a short reason where it cannot be decoded.
    """
    from htltools.formats.images.jpeg import squashed_jpeg

    with decoding(path) as image:
        turn = turn_of(image)
        size = image.size[::-1] if turn >= 5 else image.size
        target = frame if turn >= 5 else frame[::-1]  # (width, height) before the turn
        pixels = squashed_jpeg(image, target)
        if pixels is None:
            pixels = np.asarray(squashed_image(image, target))
    return np.asarray(Image.fromarray(pixels).transpose(TURNS[turn])) if turn in TURNS else pixels, size


def turn_of(image: Image.Image) -> int:
    """The EXIF orientation of an opened image; 1, upright, where it is none of the eight."""
    turn = image.getexif().get(ORIENTATION)
    return turn if isinstance(turn, int) and turn in TURNS else 1


def squashed_image(image: Image.Image, frame: tuple[int, int]) -> Image.Image:
    """An opened image of any mode, squashed to a frame (width, height), in RGB."""
    image.draft(None, (2 * frame[0], 2 * frame[1]))  # JPEG: decode no larger than needed
    if is_deep(image):
        limit = depth_limit(image)
        small = np.asarray(image.convert("F").resize(frame, Image.Resampling.BILINEAR, reducing_gap=2))
        image = Image.fromarray(np.rint(np.clip(small / limit, 0, 1) * 255).astype(np.uint8))
    image = image if image.mode == "L" and not image.has_transparency_data else over_black(image)  # grey: one channel to resize, not three
    return image.resize(frame, Image.Resampling.BILINEAR, reducing_gap=2).convert("RGB")


def read_mask(path: str | Path) -> np.ndarray:
    """A lesion mask, bool [h, w] in its own frame: what is brighter than half of its maximum. All false: no lesion.

    Raises: DataError with a short reason where it cannot be decoded.
    """
    with decoding(path) as image:
        turn = turn_of(image)
        plain = is_deep(image) or (image.mode in ("1", "L") and not image.has_transparency_data)
        grey = image if plain else over_black(image).convert("L")
        values = np.asarray(grey.transpose(TURNS[turn]) if turn in TURNS else grey)
    if values.dtype == bool:
        return values
    highest = max(values.max().item(), 0)
    return values > (highest / 2 if values.dtype.kind == "f" else highest // 2)


def squashed_mask(lesion_mask: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
    """A mask [h, w] in another frame (H, W): uint8 [H, W], 255 where at least half of the pixel is lesion, else 0."""
    image = Image.fromarray(lesion_mask.astype(np.uint8) * np.uint8(255)).resize(frame[::-1], Image.Resampling.BOX)
    return (np.asarray(image) >= 128) * np.uint8(255)


def squashed_array(pixels: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
    """An image uint8 [h, w, 3] in another frame (H, W): uint8 [H, W, 3]."""
    return np.asarray(Image.fromarray(pixels).resize(frame[::-1], Image.Resampling.BILINEAR, reducing_gap=2))


def is_deep(image: Image.Image) -> bool:
    """Whether a channel has more than 8 bits."""
    return image.mode in DEEP or image.mode.startswith("I;16")


def depth_limit(image: Image.Image) -> float:
    """The value that means white in a deep image."""
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise DataError("it holds values that are not finite")
    highest = float(values.max())
    if values.dtype.kind == "f" and highest <= 1:
        return 1.0
    return next((float(2**bits - 1) for bits in DEPTHS if highest < 2**bits), highest)


def over_black(image: Image.Image) -> Image.Image:
    """The image in RGB, over black where it is transparent."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")
    return image.convert("RGB")


@contextmanager
def decoding(path: str | Path) -> Iterator[Image.Image]:
    """An opened image; any error of Pillow becomes a DataError with a short reason, without the path."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fatal problems are raised; the others concern metadata
            if not os.path.isfile(path):  # a pipe would wait
                raise DataError("no regular file" if os.path.exists(path) else os.strerror(errno.ENOENT).lower())
            with Image.open(path, formats=FORMATS) as image:
                if max(image.size) > LONGEST_SIDE:  # Pillow would raise a MemoryError
                    raise DataError(f"a side of more than {LONGEST_SIDE} pixels")
                if image.format in ("JPEG", "MPO"):
                    check_scans(file_bytes(image))
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
