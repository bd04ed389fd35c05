"""Stored values of DICOM images whose header seems to say something else of them than is true."""

from typing import Any

import numpy as np

from htltools.formats.dicom.windowing import is_padding
from htltools.formats.images.image import Doubt

SHRINKS = 4  # times that the span of values gets smaller where a sign was not declared
SEVERAL = 3  # different values that would be below 0: fewer may be padding
OVERLAYS = 0x6000, 0x601E  # groups of overlays, which may lie in unused bits


def significant_bits(values: np.ndarray, header: Any) -> tuple[np.ndarray, int]:
    """Stored values [h, w] without the bits above BitsStored, extended by their sign where they have one; and how many pixels used these
    bits although no overlay is declared.
    """
    stored = int(header.get("BitsStored") or header.BitsAllocated)
    spare = values.dtype.itemsize * 8 - stored
    if spare <= 0 or values.dtype.kind not in "iu":
        return values, 0
    significant = values << spare >> spare
    above = values.view(f"u{values.dtype.itemsize}") >> stored
    overlaid = any(OVERLAYS[0] <= tag.group <= OVERLAYS[1] for tag in sorted(header.keys()))
    return significant, 0 if overlaid else int(np.count_nonzero((significant != values) & (above != 0)))


def doubts_of_values(values: np.ndarray, above: int, header: Any) -> list[Doubt]:
    """What looks wrong in the stored values [h, w] of a frame. above: of `significant_bits`. Padding is no measurement."""
    doubts: list[Doubt] = []
    if above:
        reason = f"{above / values.size:.1%} of its pixels use bits above its BitsStored of {header.BitsStored}, which are cleared"
        doubts.append(("DICOM values of more bits than the header says", reason))
    if values.dtype.kind == "u" and (below := undeclared_sign(values[~is_padding(values, header)], int(header.BitsStored))):
        reason = f"{below} different values from {2 ** (header.BitsStored - 1)} on would follow on the others if they were below 0"
        doubts.append(("DICOM values with a sign that the header does not say", reason))
    return doubts


def undeclared_sign(values: np.ndarray, stored: int) -> int:
    """How many different values, of so many bits without a sign, would be below 0 with one, where all would then lie much closer together.

    >>> undeclared_sign(np.array([65534, 65535, 65530, 0, 100], np.uint16), 16), undeclared_sign(np.array([0, 40000, 65535], np.uint16), 16)
    (3, 0)
    """
    if not values.size or values.max() < 2 ** (stored - 1):
        return 0
    wide = values.astype(np.int64)
    signed = np.where(wide >= 2 ** (stored - 1), wide - 2**stored, wide)
    if np.ptp(signed) * SHRINKS > np.ptp(wide):
        return 0
    below = len(np.unique(signed[signed < 0]))
    return below if below >= SEVERAL else 0
