"""Headers of compressed images, read before they are decoded: the size of a JPEG, JPEG-LS or JPEG 2000, and its number of scans."""

from collections.abc import Iterator
from typing import IO

import numpy as np
from PIL import Image

from htltools.errors import DataError

SCAN, SCANS = 0xDA, 200  # the marker of a scan, and more of them than any encoder makes
NOT_FRAMES = {0xC4, 0xC8, 0xCC}  # markers between those of frames that start none
JPEG_LS = 0xF7
JPEG_2000 = b"\xff\x4f\xff\x51"  # the marker of its start, and that of its size
JFIF, ADOBE = 0xE0, 0xEE  # markers of what an encoder says of itself, and so of its colours
LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF, JPEG_LS}  # frames that are coded as they are
CHROMA, MOSTLY = 24, 0.75  # grey levels around the middle, and share of the pixels within them
BOXED = b"\0\0\0\x0cjP"  # the start of a JPEG 2000 file, which holds a codestream in a box


def file_bytes(image: Image.Image) -> bytes:
    """The bytes of the file of an opened image."""
    file: IO[bytes] = image.fp  # type: ignore[attr-defined]  # an attribute of ImageFile, which is what Image.open gives
    file.seek(0)
    return file.read()


def check_scans(data: bytes) -> None:
    """Refuse a JPEG of so many scans that decoding would take hours: a scan that changes nothing takes only a few bytes.

    Raises: DataError.
    """
    if data.count(bytes([0xFF, SCAN])) > SCANS and sum(marker == SCAN for marker, _ in markers(data)) > SCANS:
        raise DataError(f"more than {SCANS} scans")


def markers(jpeg: bytes) -> Iterator[tuple[int, int]]:
    """The markers of a JPEG up to its end, each with the offset of its segment."""
    place = 2
    while (place := jpeg.find(b"\xff", place)) >= 0 and place + 1 < len(jpeg):
        marker, place = jpeg[place + 1], place + 1
        if marker == 0xD9:
            return
        if 0xC0 <= marker < 0xFF and not 0xD0 <= marker <= 0xD8:  # the others are part of the data
            place += 1
            yield marker, place
            place += unsigned(jpeg, place, 2)


def check_size(data: bytes, rows: int, columns: int) -> None:
    """Refuse a codestream of another size than the header around it declares: decoders allocate memory by the codestream's own.

    Raises: DataError.
    """
    sizes = declared_sizes(data)
    if not sizes:
        raise DataError("its compressed pixels declare no size")
    for height, width in sizes - {(rows, columns)}:
        raise DataError(f"its compressed pixels are {width}x{height}, its header says {columns}x{rows}")
    check_scans(data)


def holds_ycc(data: bytes, values: np.ndarray) -> bool:
    """Whether a JPEG whose header says RGB, and which has no marker of its own that says otherwise, holds YCbCr: values [h, w, 3] as coded.

    It does where two components are coded at a lower resolution. Where they are not and are numbered from 1, as encoders number those of
    YCbCr, it does if these two are near the middle of their range nearly everywhere, as in grey and black, and RGB is not.
    """
    if values.ndim != 3 or not data.startswith(b"\xff\xd8"):
        return False
    frames = {}
    for marker, at in markers(data):
        if (marker == JFIF and data[at + 2 : at + 6] == b"JFIF") or (marker == ADOBE and data[at + 2 : at + 7] == b"Adobe"):
            return False
        if marker & 0xF0 == 0xC0 and marker not in NOT_FRAMES:
            frames[marker] = [data[at + 8 + 3 * i : at + 10 + 3 * i] for i in range(3)]
    if len(frames) != 1 or set(frames) & LOSSLESS:
        return False
    (components,) = frames.values()
    if [own[0] for own in components] != [1, 2, 3]:
        return False
    if components[0][1] != components[1][1] == components[2][1]:
        return True
    middle = np.abs(values[..., 1:].astype(int) - 128) < CHROMA
    return bool(middle.all(-1).mean() > MOSTLY and (np.abs(values[..., 0].astype(int) - 128) >= CHROMA).mean() > 1 - MOSTLY)


def declared_sizes(data: bytes) -> set[tuple[int, int]]:
    """All (height, width) that a JPEG, JPEG-LS or JPEG 2000 declares: one, where it is valid."""
    if data.startswith(b"\xff\xd8"):
        frames = [at for marker, at in markers(data) if marker == JPEG_LS or (marker & 0xF0 == 0xC0 and marker not in NOT_FRAMES)]
        return {(unsigned(data, at + 3, 2), unsigned(data, at + 5, 2)) for at in frames}
    start = codestream_start(data) if data.startswith(BOXED) else 0
    if not data.startswith(JPEG_2000, start):
        return set()
    right, low, left, top = (unsigned(data, start + at, 4) for at in (8, 12, 16, 20))
    return {(low - top, right - left)}


def codestream_start(data: bytes) -> int:
    """The offset of the codestream in a JPEG 2000 file."""
    place = 0
    while data[place + 4 : place + 8] not in (b"jp2c", b""):
        place += max(unsigned(data, place, 4), 8)
    return place + 8


def unsigned(data: bytes, place: int, size: int) -> int:
    """The big-endian number in `size` bytes."""
    return int.from_bytes(data[place : place + size], "big")
