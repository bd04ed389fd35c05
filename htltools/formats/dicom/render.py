"""Rendering of DICOM images to uint8, in the order of the standard: decode, modality LUT, VOI LUT or window, MONOCHROME1 inversion.

Overlays and supplemental palettes are not drawn.
"""

from collections.abc import Sequence
from functools import lru_cache
from os import stat
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from htltools.errors import DataError
from htltools.formats.dicom.colours import colours_of
from htltools.formats.dicom.file import decoded_frame, frame_values, header_of, reading
from htltools.formats.dicom.stored_values import doubts_of_values
from htltools.formats.dicom.windowing import windowed
from htltools.formats.images.image import SquashedImage, squashed_array
from htltools.formats.images.mask import Objects, objects_of

MAX_LEVELS = 2**16  # different values that are rendered once each, however many pixels have them
TABLES = ("PixelValueTransformationSequence", "FrameVOILUTSequence")  # of each frame of a multi-frame file


def read_dicom(path: str | Path, frame: tuple[int, int], number: int = 1, window: str = "auto") -> SquashedImage:
    """A frame of a DICOM file, counted from 1, squashed to a frame (H, W), with how it was rendered.

    `window`: `auto` for the file's first VOI LUT or window, and the range of the values where it has none; a number for another
    of its windows, from 0; "C/W" for a centre and a width; `percentile` for the 1st to the 99th of the frame.

    Raises: DataError with a short reason where it cannot be decoded.
    """
    header = cached_header(str(path), size_and_time(path))
    values, above = decoded_frame(path, header, number)
    with reading("its values cannot be rendered"):
        header = frame_header(header, number)
        if values.ndim == 3 or header.PhotometricInterpretation == "PALETTE COLOR":
            return SquashedImage(squashed_array(colours_of(values, header), frame), values.shape[1::-1], "colour")
        doubts = doubts_of_values(values, above, header)
        grey, rendering = grey_of(values, header, window)
    small = Image.fromarray(grey).resize(frame[::-1], Image.Resampling.BILINEAR, reducing_gap=2)
    return SquashedImage(np.asarray(small.convert("RGB")), values.shape[::-1], rendering, doubts=tuple(doubts))


def read_dicom_mask(path: str | Path, lesion_values: Sequence[int] = ()) -> Objects:
    """The objects of a mask in a DICOM image, by its stored values, see `read_mask`.

    Raises: DataError with a short reason where it cannot be decoded.
    """
    values = frame_values(path, header_of(path))
    return objects_of(values if values.ndim == 2 else values.max(2), lesion_values)


def size_and_time(path: str | Path) -> tuple[int, int]:
    """Size in bytes and time of change of a file."""
    with reading():
        status = stat(path)
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=1)
def cached_header(path: str, _stamp: tuple[int, int]) -> Any:
    """The header of a file, cached while its frames are read one after the other."""
    return header_of(path)


def frame_header(header: Any, number: int) -> Any:
    """The tags that the rendering of one frame depends on, with the frame's own tables in the usual places."""
    tags = header.group_dataset(0x0028)
    tags.file_meta = header.file_meta
    tags.setdefault("BitsStored", header.BitsAllocated)
    tags.setdefault("PixelRepresentation", 0)
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        groups = header.get(name) or []
        place = number - 1 if name.startswith("Per") else 0
        for table in TABLES:
            if place < len(groups) and groups[place].get(table):
                tags.update(groups[place][table][0])
    widen_luts(tags)
    return tags


def widen_luts(header: Any) -> None:
    """Declare LUT entries as 16 bits where pydicom would need a type of 12 bits, or would index with 8."""
    for name in ("ModalityLUTSequence", "VOILUTSequence"):
        for table in header.get(name) or []:
            entries, first, depth = table.LUTDescriptor
            if depth not in (8, 16) or (depth == 8 and (entries or 2**16) > 2**8):
                table.LUTDescriptor = [entries, first, 16]


def grey_of(values: np.ndarray, header: Any, window: str) -> tuple[np.ndarray, str]:
    """A grey frame as uint8 [h, w], 0 = black, and how it was rendered."""
    from pydicom.pixels import apply_modality_lut

    levels, place = levels_of(values)
    note = complete_rescale(header)
    shades = apply_modality_lut(levels, header)  # [levels], or [h, w] where there are too many
    if not np.isfinite(shades).all():
        raise DataError("it holds values that are not finite")
    light, rendering = windowed(shades, levels, place, header, window)
    rendering += note
    if header.PhotometricInterpretation == "MONOCHROME1":
        light, rendering = 1 - light, f"{rendering}, inverted"
    light = np.rint(np.clip(light, 0, 1) * 255).astype(np.uint8)
    return light if place is None else light.take(place), rendering


def complete_rescale(header: Any) -> str:
    """Make a rescale what pydicom applies: an intercept alone gets the slope 1. A slope of 0 becomes 1, which the text given says."""
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    if intercept is None or slope:
        return ""
    header.add_new("RescaleSlope", "DS", 1)  # not by assignment, which would change the header that frames share
    return "" if slope is None else ", slope 0 taken for 1"


def levels_of(values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Every value from the lowest to the highest, int64 [levels], and the index of each pixel among them: [h, w].

    Where the values are floats, or more than MAX_LEVELS, the values themselves and None.
    """
    if values.dtype.kind not in "iu":
        return values.astype(np.float64), None
    lowest, highest = int(values.min()), int(values.max())
    if highest - lowest >= MAX_LEVELS:
        return values.astype(np.int64), None
    if lowest >= 0 and highest < MAX_LEVELS:
        return np.arange(highest + 1), values
    return np.arange(lowest, highest + 1), values.astype(np.int64) - lowest
