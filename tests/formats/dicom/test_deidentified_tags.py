"""Metadata of DICOM files: the allow-list of tags, and keyed hashes."""

import numpy as np
import pytest

from htltools.errors import CannotCreate, DataError
from htltools.formats.dicom.deidentified_tags import deidentified_header, keyed_hash, new_key, read_key

KEY = b"sixteen bytes of a secret"
VALUES = np.zeros((4, 4), np.uint8)


@pytest.mark.parametrize(
    ("written", "age"),
    [
        *(("045Y", 45), ("006M", 0.5), ("010D", 0.03), ("026W", 0.5), ("", None), ("adult", None), ("4.5.1", None), ("1045", None)),
        # against the standard, but found
        *(("45", 45), ("045", 45), ("45Y", 45), ("045y", 45), ("045 Y", 45), ("6m", 0.5), ("51.5", 51.5), ("51.0Y", 51)),
    ],
)
def test_age(tmp_path, save_dicom, written, age):
    """Ages are years, whatever their unit, and where they have none; with fewer digits than the standard asks as well."""
    save_dicom(tmp_path / "a.dcm", VALUES)
    data = (tmp_path / "a.dcm").read_bytes()
    assert "age" not in deidentified_header(str(tmp_path / "a.dcm"), KEY).meta
    if written:
        place, element = data.index(b"\x28\x00\x02\x00"), b"\x10\x00\x10\x10AS" + len(written).to_bytes(2, "little") + written.encode()
        (tmp_path / "a.dcm").write_bytes(data[:place] + element + data[place:])
    assert deidentified_header(str(tmp_path / "a.dcm"), KEY).meta.get("age") == age


@pytest.mark.parametrize(
    ("written", "sex"), [("M", "male"), ("m", "male"), ("Male", "male"), ("FEMALE", "female"), ("O", "other"), ("1", None), ("U", None)]
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_sex(tmp_path, save_dicom, written, sex):
    """Sex is a word, whether the file has the code of the standard or that word in any case."""
    save_dicom(tmp_path / "a.dcm", VALUES, PatientSex=written)
    assert deidentified_header(str(tmp_path / "a.dcm"), KEY).meta.get("sex") == sex


def test_free_text_in_codes_is_left_out(tmp_path, save_dicom):
    """A tag that should hold a code but holds something else is not passed on."""
    save_dicom(tmp_path / "a.dcm", VALUES, ViewPosition="AP", Modality="DX", BodyPartExamined="CHEST OF J")
    assert deidentified_header(str(tmp_path / "a.dcm"), KEY).meta == {"view": "AP", "body_part": "CHEST OF J", "modality": "DX"}
    data = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(data.replace(b"CHEST OF J", b"J^Doe,1960"))
    assert deidentified_header(str(tmp_path / "a.dcm"), KEY).meta == {"view": "AP", "modality": "DX"}


def test_names_need_their_key(tmp_path):
    """A keyed name is the same for the same key, kind and text, and another for any other; a new key never replaces one."""
    names = {
        keyed_hash(key, kind, text) for key in (KEY, KEY + b"!") for kind in ("patient", "study") for text in ("1", "2", "é", "\udcff")
    }
    assert len(names) == 16 and all(len(name) == 24 for name in names)
    key = new_key(tmp_path / "deep/key")
    assert read_key(tmp_path / "deep/key") == key and len(key) == 64
    with pytest.raises(CannotCreate):
        new_key(tmp_path / "deep/key")


def test_damaged_headers(tmp_path, save_dicom, capfd, caplog):
    """Whatever byte of a header is wrong, it is read, or refused in a few words that name no patient; nothing is printed."""
    spacing = {"PixelSpacing": [0.5, 0.5], "ImagePositionPatient": [1, 2, 3], "NumberOfFrames": 1}
    save_dicom(tmp_path / "a.dcm", VALUES, PatientName="Secret", PatientID="Secret", PatientSex="M", Modality="CT", **spacing)
    data = (tmp_path / "a.dcm").read_bytes()
    draw = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        spoilt = bytearray(data)
        for place in draw.integers(132, len(data), 4):
            spoilt[place] = draw.integers(256)
        (tmp_path / "b.dcm").write_bytes(spoilt)
        try:
            assert "Secret" not in str(deidentified_header(str(tmp_path / "b.dcm"), KEY))
        except DataError as error:
            refused += 1
            assert "Secret" not in str(error) and len(str(error)) < 100
    assert refused > 30 and "Secret" not in caplog.text and capfd.readouterr() == ("", "")
