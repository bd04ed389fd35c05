"""Windows of grey DICOM images: from values after the modality LUT to brightness in [0, 1]."""

import re
from typing import Any

import numpy as np

from htltools.errors import DataError, UsageError

PERCENTILES = 1, 99
WINDOW = re.compile(r"auto|percentile|\d{1,3}|-?\d+(\.\d+)?/\d+(\.\d+)?")


def checked_window(text: str) -> str:
    """The value of --window, checked.

    Raises: UsageError.
    """
    if not WINDOW.fullmatch(text) or ("/" in text and float(text.partition("/")[2]) < 1):
        raise UsageError(f"--window takes auto, percentile, the number of one of the file's windows, or CENTER/WIDTH, not {text!r}")
    return text


def is_padding(levels: np.ndarray, header: Any) -> np.ndarray:
    """Which stored values are padding, not measurements: bool, shaped as `levels`."""
    first = header.get("PixelPaddingValue")
    if not isinstance(first, int):
        return np.zeros(levels.shape, bool)
    last = header.get("PixelPaddingRangeLimit", first)
    return (levels >= min(first, last)) & (levels <= max(first, last))


def level_counts(levels: np.ndarray, place: np.ndarray | None, header: Any) -> np.ndarray:
    """Number of pixels of each level. Padding counts 0, unless there is nothing else."""
    counts = np.ones(levels.shape, int) if place is None else np.bincount(place.ravel(), minlength=len(levels))
    measured = counts * ~is_padding(levels, header)
    return measured if measured.any() else counts


def windowed(shades: np.ndarray, levels: np.ndarray, place: np.ndarray | None, header: Any, window: str) -> tuple[np.ndarray, str]:
    """Shades after the modality LUT as brightness in [0, 1], and how they were windowed. `levels` and `place`: see `render.levels_of`."""
    windows, tables = windows_of(header), len(header.get("VOILUTSequence") or [])
    if "/" in window:
        header.WindowCenter, header.WindowWidth = window.split("/")
        return by_window(shades, header, 0), f"window {window}"
    if window.isdecimal():
        if int(window) >= max(len(windows), tables):
            raise DataError(f"it has no window {window}")
        if int(window) < len(windows):
            return by_window(shades, header, int(window)), f"window {windows[int(window)]}"
        return by_table(shades, header, int(window)), f"LUT {window}"
    if window == "auto" and tables:
        return by_table(shades, header, 0), "LUT 0"
    if window == "auto" and windows:
        return by_window(shades, header, 0), f"window {windows[0]}"
    counts = level_counts(levels, place, header)
    seen = shades[counts > 0]
    if window == "percentile":
        low, high = np.percentile(np.repeat(shades.ravel(), counts.ravel()), PERCENTILES)
    elif header.BitsStored <= 8 and np.array_equal(shades, levels) and seen.min() >= 0:
        low, high = 0, 2**header.BitsStored - 1
    else:
        low, high = seen.min(), seen.max()
    return np.clip((shades - low) / ((high - low) or 1), 0, 1), "percentile" if window == "percentile" else f"range {low:g} to {high:g}"


def windows_of(header: Any) -> list[str]:
    """The valid windows of a file as C/W."""
    values = [header.get(name) for name in ("WindowCenter", "WindowWidth")]
    centers, widths = ([value] if isinstance(value, (int, float)) else list(value or []) for value in values)
    least = 1 if header.get("VOILUTFunction", "LINEAR") == "LINEAR" else np.nextafter(0, 1)
    return [f"{center:g}/{width:g}" for center, width in zip(centers, widths) if width >= least]


def by_window(shades: np.ndarray, header: Any, index: int) -> np.ndarray:
    """Shades through a window, scaled by the window's own output range."""
    from pydicom.pixels import apply_voi_lut

    low, high = apply_voi_lut(np.array([-np.inf, np.inf]), header, index, prefer_lut=False)
    return (apply_voi_lut(shades, header, index, prefer_lut=False) - low) / (high - low)


def by_table(shades: np.ndarray, header: Any, index: int) -> np.ndarray:
    """Shades through a VOI LUT, scaled by the fewest bits that hold its entries, whatever depth the table declares."""
    from pydicom.pixels import apply_voi_lut

    count, first, _ = header.VOILUTSequence[index].LUTDescriptor
    entries = apply_voi_lut(np.arange(first, first + (count or 2**16)), header, index)
    highest = 2 ** int(entries.max()).bit_length() - 1
    return apply_voi_lut(np.rint(shades).astype(np.int64), header, index) / (highest or 1)
