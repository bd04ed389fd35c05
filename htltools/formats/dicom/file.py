"""DICOM files: how they are recognised, their header, and the values of one frame in any transfer syntax.

Warnings and errors of pydicom may quote the header, and so name a patient: none of them is shown.
"""

import errno
import io
import logging
import os
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from htltools.errors import DataError
from htltools.formats.dicom.child_process import in_child_process
from htltools.formats.dicom.stored_values import significant_bits
from htltools.formats.images.compressed_headers import check_size, holds_ycc

DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".dic", ".ima"})
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, DEFLATED_FRAMES, RLE = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.5"
NATIVE = IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED  # syntaxes whose frames are not compressed one by one
UID = re.compile(r"[0-9.]{1,64}")
DEFLATED_BYTES = 2**30  # the largest size of a deflated file, unpacked
BITS = 1, 8, 16, 32, 64
SMALLEST_FRAME = 16  # bytes of a compressed frame, with the header of its item


def is_dicom(path: str) -> bool:
    """Whether a file is DICOM by its name, by the letters DICM after its preamble, or by starting as one without a preamble does."""
    if os.path.splitext(path)[1].lower() in DICOM_SUFFIXES:
        return True
    if not os.path.isfile(path):  # a pipe would wait
        return False
    try:
        with open(path, "rb") as file:
            start = file.read(132)
    except OSError:
        return False
    first_group = len(start) > 8 and start[0] in (2, 8) and start[1] == start[3] == 0 and start[2] < 0x20
    return start[128:] == b"DICM" or (first_group and (start[6:8] == b"\0\0" or start[4:6] in (b"UL", b"CS", b"UI", b"OB", b"DA")))


@contextmanager
def reading(what: str = "cannot be read") -> Iterator[None]:
    """Turn any error of pydicom into one with a short reason that quotes nothing of the header.

    Raises: DataError.
    """
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (DataError, MemoryError):
        raise
    except EOFError:
        raise DataError("the file is cut short") from None
    except Exception as error:  # pydicom and the decoders raise nearly anything on damaged files
        if isinstance(error, OSError) and error.strerror:
            raise DataError(error.strerror.lower()) from None
        raise DataError(f"{what} ({type(error).__name__})") from None


def header_of(path: str | Path, tags: list[str] | None = None) -> Any:
    """The header (a pydicom Dataset) of a file, or some of its tags; its file_meta always has a transfer syntax.

    Raises: DataError with a short reason where there is none.
    """
    import pydicom

    with reading("no DICOM file"):
        pydicom.filereader.zlib = BoundedZlib  # type: ignore[assignment]  # the part of the module that it uses
        with BoundedFile(path) as file:
            header = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=tags)
        if "SOPClassUID" not in header and "Rows" not in header:
            raise DataError("no DICOM file")
        if not header.file_meta.get("TransferSyntaxUID"):
            implicit, little = header.original_encoding
            header.file_meta.TransferSyntaxUID = pydicom.uid.UID(IMPLICIT if implicit else EXPLICIT if little else BIG_ENDIAN)
    return header


class BoundedFile(io.BufferedReader):
    """A file that is never read beyond its size: Python would first allocate the memory that a header declares."""

    def __init__(self, path: str | Path):
        if not os.path.isfile(path):  # a pipe would wait
            raise DataError("no regular file" if os.path.exists(path) else os.strerror(errno.ENOENT).lower())
        super().__init__(io.FileIO(path))
        self.size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size, self.size) if size else size)


class BoundedZlib:
    """The part of zlib that pydicom uses for deflated files, with a limit to their size."""

    MAX_WBITS = zlib.MAX_WBITS

    @staticmethod
    def decompress(data: bytes, wbits: int) -> bytes:
        """The unpacked data.

        Raises: DataError where they are more than DEFLATED_BYTES.
        """
        unpacking = zlib.decompressobj(wbits)
        unpacked = unpacking.decompress(data, DEFLATED_BYTES + 1)
        if len(unpacked) > DEFLATED_BYTES:
            raise DataError(f"it unpacks to more than {DEFLATED_BYTES // 2**20} MiB")
        if not unpacking.eof:
            raise EOFError
        return unpacked


def frame_count(header: Any) -> int:
    """The number of frames that a header declares."""
    return max(int(header.get("NumberOfFrames") or 1), 1)


def check_declared(path: str | Path, header: Any) -> None:
    """Compare a header with the size of its file, before anything is allocated.

    Raises: DataError where there is no image, or its kind is not supported, or it is too large, or the file is too small for it.
    """
    if not header.get("Rows") or not header.get("Columns") or not header.get("BitsAllocated"):
        raise DataError(f"it holds no image ({uid_name(header.get('SOPClassUID'))})")
    declared = header.Rows, header.Columns, header.get("SamplesPerPixel") or 1, header.BitsAllocated
    if not all(isinstance(number, int) for number in declared):
        raise DataError("its header is damaged")
    pixels, (samples, bits) = declared[0] * declared[1], declared[2:]
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    if pixels > limit:
        raise DataError(f"more than {limit // 10**6} million pixels")
    if samples not in (1, 3) or bits not in BITS:
        raise DataError(f"{samples} samples of {bits} bits are not supported")
    syntax, size = header.file_meta.TransferSyntaxUID, os.path.getsize(path)
    if syntax in NATIVE[:3]:
        stored = 2 if header.get("PhotometricInterpretation") == "YBR_FULL_422" else samples
        if pixels * stored * bits * frame_count(header) // 8 > size:
            raise DataError("the file is cut short")
    elif syntax != DEFLATED and frame_count(header) * SMALLEST_FRAME > size:
        raise DataError(f"it declares {frame_count(header)} frames, more than it has room for")


def uid_name(uid: Any) -> str:
    """The name of a class or transfer syntax; its UID where it is unknown."""
    name = getattr(uid, "name", "")
    return name if name and name != str(uid) else str(uid) if UID.fullmatch(str(uid)) else "unknown"


def is_decodable(syntax: Any) -> bool | None:
    """Whether a transfer syntax can be decoded here; None: no library that htl uses can."""
    from pydicom.pixels import get_decoder

    if syntax == DEFLATED_FRAMES:
        return True
    try:
        return get_decoder(syntax).is_available
    except (NotImplementedError, ValueError):
        return None


def frame_values(path: str | Path, header: Any, number: int = 1) -> np.ndarray:
    """The stored values of a frame, counted from 1: [h, w] or [h, w, 3]; YBR becomes RGB.

    Raises: DataError with a short reason where it cannot be decoded.
    """
    return decoded_frame(path, header, number)[0]


def decoded_frame(path: str | Path, header: Any, number: int = 1) -> tuple[np.ndarray, int]:
    """As `frame_values`, and how many pixels of a grey frame that is not compressed use bits that they should not, see `stored_values`.

    Raises: as `frame_values`.
    """
    import pydicom
    from pydicom.pixels import convert_color_space, get_decoder, pixel_array

    with reading("its pixels cannot be decoded"):
        check_declared(path, header)
        syntax = header.file_meta.TransferSyntaxUID
        if not 1 <= number <= frame_count(header):
            raise DataError(f"it has no frame {number}")
        if syntax == DEFLATED_FRAMES or (syntax == RLE and header.BitsAllocated == 1):
            return unpacked_frame(path, header, number), 0
        plain = syntax in NATIVE and header.get("SamplesPerPixel", 1) == 1
        data = None if syntax in NATIVE or syntax == RLE else frame_data(path, header, number)
        if data is not None:
            check_size(data, header.Rows, header.Columns)

        def decoded() -> np.ndarray:
            with BoundedFile(path) as file:
                source = {"src": pydicom.dcmread(file)} if syntax == DEFLATED else {"src": file, "transfer_syntax_uid": syntax}
                return pixel_array(**source, index=number - 1, correct_unused_bits=not plain)

        values = in_child_process(decoded) if "gdcm" in get_decoder(syntax).available_plugins else decoded()
        if data and header.get("PhotometricInterpretation") == "RGB" and holds_ycc(data, values):
            values = convert_color_space(values, "YBR_FULL", "RGB")
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        return significant_bits(values, header) if plain else (values, 0)


def frame_data(path: str | Path, header: Any, number: int) -> bytes:
    """The compressed data of a frame, counted from 1."""
    import pydicom
    from pydicom.encaps import get_frame

    offsets, lengths = (header.get(name) for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"))
    with BoundedFile(path) as file:
        pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=["Rows"])
        file.seek(12, os.SEEK_CUR)  # tag, type and length of the pixel data
        extended = (offsets, lengths) if offsets and lengths else None
        return get_frame(file, number - 1, extended_offsets=extended, number_of_frames=frame_count(header))


def unpacked_frame(path: str | Path, header: Any, number: int) -> np.ndarray:
    """A frame of one sample per pixel that pydicom has no decoder for: deflated on its own, or RLE of packed bits."""
    from pydicom.pixels import pixel_array

    shape, bits = (header.Rows, header.Columns), header.BitsAllocated
    size = -(-header.Rows * header.Columns * bits // 8)
    if header.get("SamplesPerPixel", 1) != 1:
        raise DataError("deflated frames in colour are not supported")
    if header.file_meta.TransferSyntaxUID == RLE:
        with BoundedFile(path) as file:
            data = pixel_array(file, index=number - 1, rows=1, columns=size, bits_allocated=8, bits_stored=8).tobytes()
    else:
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(frame_data(path, header, number), size)
    if len(data) < size:
        raise DataError("the file is cut short")
    if bits == 1:
        return np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: shape[0] * shape[1]].reshape(shape)
    return np.frombuffer(data, f"<{'i' if header.get('PixelRepresentation') else 'u'}{bits // 8}").reshape(shape)
