"""What compressed images say of themselves before they are decoded: the size of a JPEG, JPEG-LS or JPEG 2000, and its scans."""

from collections.abc import Iterator

from htltools.errors import DataError

SCAN, SCANS = 0xDA, 200  # the marker of a scan, and more of them than any encoder makes
NO_FRAMES = {0xC4, 0xC8, 0xCC}  # markers among those of frames that are none
JPEG_LS = 0xF7
JPEG_2000 = b"\xff\x4f\xff\x51"  # start, and the marker of its size
BOXED = b"\0\0\0\x0cjP"  # JPEG 2000 in a file of its own


def check_scans(data: bytes) -> None:
    """Refuse a JPEG of so many scans that it would be decoded for hours: one that changes nothing takes but a few bytes.

    Raises: DataError.
    """
    if data.count(bytes([0xFF, SCAN])) > SCANS and sum(marker == SCAN for marker, _ in segments(data)) > SCANS:
        raise DataError(f"more than {SCANS} scans")


def segments(jpeg: bytes) -> Iterator[tuple[int, int]]:
    """The markers of a JPEG up to its end, each with the place of what it marks."""
    place = 2
    while (place := jpeg.find(b"\xff", place)) >= 0 and place + 1 < len(jpeg):
        marker, place = jpeg[place + 1], place + 1
        if marker == 0xD9:
            return
        if 0xC0 <= marker < 0xFF and not 0xD0 <= marker <= 0xD8:  # the others stand within data
            place += 1
            yield marker, place
            place += number(jpeg, place, 2)


def check_size(data: bytes, rows: int, columns: int) -> None:
    """Refuse a codestream of another size than the header around it declares: decoders ask for memory by its own.

    Raises: DataError.
    """
    sizes = sizes_of(data)
    if not sizes:
        raise DataError("its compressed pixels declare no size")
    for height, width in sizes - {(rows, columns)}:
        raise DataError(f"its compressed pixels are {width}x{height}, its header says {columns}x{rows}")
    check_scans(data)


def sizes_of(data: bytes) -> set[tuple[int, int]]:
    """All (height, width) that a JPEG, JPEG-LS or JPEG 2000 declares: one, where it is sound."""
    if data.startswith(b"\xff\xd8"):
        frames = [at for marker, at in segments(data) if marker == JPEG_LS or (marker & 0xF0 == 0xC0 and marker not in NO_FRAMES)]
        return {(number(data, at + 3, 2), number(data, at + 5, 2)) for at in frames}
    start = boxed(data) if data.startswith(BOXED) else 0
    if not data.startswith(JPEG_2000, start):
        return set()
    right, low, left, top = (number(data, start + at, 4) for at in (8, 12, 16, 20))
    return {(low - top, right - left)}


def boxed(data: bytes) -> int:
    """Where the codestream starts in a JPEG 2000 file."""
    place = 0
    while data[place + 4 : place + 8] not in (b"jp2c", b""):
        place += max(number(data, place, 4), 8)
    return place + 8


def number(data: bytes, place: int, size: int) -> int:
    """The number in `size` bytes, the highest first."""
    return int.from_bytes(data[place : place + size], "big")
