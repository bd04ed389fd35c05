"""Frames of DICOM files in colour as RGB: palettes, and colour spaces that the header names wrongly."""

from typing import Any

import numpy as np

from htltools.errors import DataError
from htltools.formats.dicom.file import BIG_ENDIAN

RETIRED = "YBR_PARTIAL_420", "YBR_PARTIAL_422", "HSV", "ARGB", "CMYK"
PALETTE = tuple(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue"))


def colours_of(values: np.ndarray, header: Any) -> np.ndarray:
    """A frame in colour as uint8 [h, w, 3], RGB."""
    from pydicom.pixels import apply_color_lut

    kind = header.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        repair_palette(header)
        values = apply_color_lut(values, header)[..., :3]
        highest = np.iinfo(values.dtype).max if values.dtype == np.uint8 or deep_palette(header) else 255
    elif kind in ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"):  # pydicom has converted all of them to RGB
        highest = 2**header.BitsStored - 1
    else:
        raise DataError(f"its colours are not supported ({kind if kind in RETIRED else 'unknown'})")
    return values if values.dtype == np.uint8 and highest == 255 else np.rint(values / highest * 255).clip(0, 255).astype(np.uint8)


def repair_palette(header: Any) -> None:
    """Swap the bytes of the palette of a big-endian file, and widen a long one of 8 bits: pydicom reads both wrongly."""
    for name in (name for name in PALETTE if name in header):
        data, entries = header[name].value, header[f"{name.removesuffix('Data')}Descriptor"].value[0] or 2**16
        if header.file_meta.TransferSyntaxUID == BIG_ENDIAN and header[name].VR == "OW":
            data = np.frombuffer(data, ">u2").astype("<u2").tobytes()
        if entries > 2**8 and len(data) == entries:
            data = (np.frombuffer(data, np.uint8).astype("<u2") * 257).tobytes()
        header[name].value = data


def deep_palette(header: Any) -> bool:
    """Whether a palette of 16 bits has entries of more than 8: some files hold entries of 8 bits in 16."""
    tables = [np.frombuffer(header[name].value, "<u2") for name in PALETTE if name in header]
    return not tables or any(bool((own > 255).any()) for own in tables)
