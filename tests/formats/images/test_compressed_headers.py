"""Headers of compressed images."""

import io

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

from htltools.errors import DataError
from htltools.formats.dicom.render import read_dicom
from htltools.formats.images.compressed_headers import check_scans, check_size, declared_sizes
from htltools.formats.images.image import read_image

KINDS = [("JPEG", {}), ("JPEG", {"progressive": True}), ("JPEG2000", {"no_jp2": True}), ("JPEG2000", {})]


def coded(kind, how, shape=(48, 64)):
    """A grey image of noise, compressed."""
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8)).save(out, kind, **how)
    return out.getvalue()


@pytest.mark.parametrize(("kind", "how"), KINDS)
def test_sizes(kind, how):
    """The size that a codestream declares is read, in a JPEG 2000 file as well, and one that differs is refused."""
    data = coded(kind, how)
    assert declared_sizes(data) == {(48, 64)}
    check_size(data, 48, 64)
    with pytest.raises(DataError, match="^its compressed pixels are 64x48, its header says 48x64$"):
        check_size(data, 64, 48)
    for length in range(0, len(data), 7):
        declared_sizes(data[:length])
    with pytest.raises(DataError, match="declare no size"):
        check_size(b"nothing", 1, 1)


@pytest.mark.parametrize(("syntax", "kind", "how"), [(JPEGBaseline8Bit, *KINDS[0]), (JPEG2000Lossless, *KINDS[2])])
def test_dicom_pixels_of_another_size(tmp_path, save_dicom, syntax, kind, how):
    """Compressed pixels of a DICOM file that declare 60000x60000 under a header of 64x48 are refused before they are decoded."""
    data = bytearray(coded(kind, how))
    place = data.index(b"\xff\xc0") + 5 if kind == "JPEG" else data.index(b"\xff\x51") + 6
    size = 2 if kind == "JPEG" else 4
    save_dicom(tmp_path / "a.dcm", np.zeros((48, 64), np.uint8), syntax=syntax, data=encapsulate([bytes(data)]))
    assert read_dicom(tmp_path / "a.dcm", (8, 8))[0].shape == (8, 8, 3)
    data[place : place + 2 * size] = 2 * (60000).to_bytes(size, "big")
    save_dicom(tmp_path / "a.dcm", np.zeros((48, 64), np.uint8), syntax=syntax, data=encapsulate([bytes(data)]))
    with pytest.raises(DataError, match="^its compressed pixels are 60000x60000, its header says 64x48$"):
        read_dicom(tmp_path / "a.dcm", (8, 8))


def test_scans(tmp_path):
    """A JPEG of thousands of scans that change nothing is refused at once; a motion image behind it is none of it."""
    data = coded("JPEG", {"progressive": True})
    check_scans(data + b"\xff\xda" * 1000)
    start = data.rindex(b"\xff\xda")
    bomb = data[:start] + data[start:-2] * 300 + data[-2:]
    (tmp_path / "a.jpg").write_bytes(bomb)
    with pytest.raises(DataError, match="^more than 200 scans$"):
        read_image(tmp_path / "a.jpg", (8, 8))
