"""Grey images of more than 8 bits, or with a sign: their values, and which of them mean black and white."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from htltools.errors import DataError

DEEP = ("I", "F")  # modes of more than 8 bits per channel, and I;16 with its variants
DEPTHS = 8, 10, 12, 14, 16
STRAY = 0.001  # share of the pixels at either end that do not decide
PHOTOMETRIC, SAMPLE_FORMAT = 262, 339  # tags of TIFF
WHITE_IS_ZERO, UNSIGNED, SIGNED = 0, 1, 2


def is_deep(image: Image.Image) -> bool:
    """Whether a grey image has more than 8 bits, or a sign."""
    return image.mode in DEEP or image.mode.startswith("I;16") or (image.mode == "L" and sample_format(image) == SIGNED)


def deep_values(image: Image.Image) -> np.ndarray:
    """The values of a deep image [h, w]. Pillow reads signed bytes, and whole numbers of 32 bits without a sign, with the wrong sign.

    Raises: DataError where one is not finite.
    """
    values = np.asarray(image)
    if values.dtype == np.uint8:
        return values.view(np.int8)
    if values.dtype == np.int32 and image.mode == "I" and sample_format(image) == UNSIGNED:
        return values.view(np.uint32)
    if not np.isfinite(values).all():
        raise DataError("it holds values that are not finite")
    return values


def tiff_tags(image: Image.Image) -> Mapping[int, Any]:
    """The tags of an opened TIFF by their numbers."""
    return image.tag_v2  # type: ignore[attr-defined]  # of TiffImageFile, which is what Image.open gives


def sample_format(image: Image.Image) -> int | None:
    """Which numbers a TIFF holds, as its tag says; unsigned where it says nothing. None: no TIFF."""
    return tiff_tags(image).get(SAMPLE_FORMAT, (UNSIGNED,))[0] if image.format == "TIFF" else None


def black_and_white(image: Image.Image, values: np.ndarray) -> tuple[float, float]:
    """The values that mean black and white.

    Of values without a sign, 0 and the largest of the smallest depth that holds them; of floats in [0, 1], these. Where some are
    below 0, the lowest and the highest, as for DICOM without a window. The other way round in a TIFF that says that 0 is white: Pillow
    turns only those of 8 bits. All without the STRAY pixels at both ends, which may be dead, hot or letters.
    """
    stray = max(1, round(STRAY * values.size)) if values.size > 2 else 0
    ends = np.partition(values, (stray, values.size - 1 - stray), axis=None)
    lowest, highest = float(ends[stray]), float(ends[-1 - stray])
    if lowest < 0:
        black, white = lowest, highest
    elif values.dtype.kind == "f" and highest <= 1:
        black, white = 0.0, 1.0
    else:
        black, white = 0.0, next((float(2**bits - 1) for bits in DEPTHS if highest < 2**bits), highest)
    inverted = image.format == "TIFF" and tiff_tags(image).get(PHOTOMETRIC) == WHITE_IS_ZERO
    return (white, black) if inverted else (black, white)


def squashed_deep(image: Image.Image, frame: tuple[int, int]) -> tuple[np.ndarray, str]:
    """A deep image squashed to a frame (width, height): uint8 [H, W]; and which values are black and white, in words."""
    values = deep_values(image)
    black, white = black_and_white(image, values)
    small = np.asarray(Image.fromarray(values.astype(np.float32)).resize(frame, Image.Resampling.BILINEAR, reducing_gap=2))
    light = np.clip((small - black) / ((white - black) or 1), 0, 1)
    return np.rint(light * 255).astype(np.uint8), f"range {black:g} to {white:g}"
