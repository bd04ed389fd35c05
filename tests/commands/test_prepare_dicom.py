"""`htl prepare` on DICOM: which files are found, under which names, with which masks, and what stderr says before the first is decoded."""

import json
import stat

import h5py
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import MPEG4HP41, JPEG2000Lossless

RAMP = np.arange(256, dtype=np.uint16).reshape(16, 16) * 16
NAMES = {"PatientName": "Secret^Name", "PatientID": "Secret-1", "PatientBirthDate": "19600101", "StudyDate": "20200101"}
SEG = "1.2.840.10008.5.1.4.1.1.66.4"


def rows_of(out):
    """The rows of a stream, without its notes."""
    return [row for row in map(json.loads, out.splitlines()) if "htl" not in row]


def skips_in(folder):
    """What was left out: (source, reason)."""
    lines = map(json.loads, (folder / "skips.jsonl").read_bytes().splitlines())
    return {skip["source"].rpartition("/")[2]: skip["reason"] for skip in lines if "reason" in skip and not skip.get("kept")}


@pytest.fixture
def key(tmp_path):
    """A key of ids."""
    path = tmp_path / "key"
    path.write_text("sixteen bytes of a secret\n")
    return path


def segmentation(save_dicom, path, series, frames, *, positions=None, **tags):
    """Save a SEG whose frames [16, 16] refer to instances, by UID or (UID, frame), or lie at positions."""

    def groups(reference, position):
        group = Dataset()
        if position:
            plane = Dataset()
            plane.ImagePositionPatient = position
            group.PlanePositionSequence = Sequence([plane])
        else:
            source, derivation = Dataset(), Dataset()
            source.ReferencedSOPInstanceUID = reference if isinstance(reference, str) else reference[0]
            if not isinstance(reference, str):
                source.ReferencedFrameNumber = reference[1]
            derivation.SourceImageSequence = Sequence([source])
            group.DerivationImageSequence = Sequence([derivation])
        return group

    item = Dataset()
    item.SeriesInstanceUID = series
    values = np.stack([frame for _, frame in frames]).astype(np.uint8)
    per_frame = [groups(uid, positions[i] if positions else None) for i, (uid, _) in enumerate(frames)]
    tags = {"SOPClassUID": SEG, "Modality": "SEG", "SegmentationType": "BINARY"} | tags
    save_dicom(
        path,
        values,
        frames=len(frames),
        ReferencedSeriesSequence=Sequence([item]),
        PerFrameFunctionalGroupsSequence=Sequence(per_frame),
        **tags,
    )


def drawn(rows, columns, value=1):
    """A frame of a segmentation with one rectangle."""
    frame = np.zeros((16, 16), np.uint8)
    frame[slice(*rows), slice(*columns)] = value
    return frame


def test_rows_name_nobody(tmp_path, save_dicom, htl, key):
    """Ids and groups are keyed hashes, `meta` holds the allow-list and no more, and no name is in any output."""
    tags = {"PatientAge": "018M", "PatientSex": "F", "ViewPosition": "PA", "BodyPartExamined": "Secret text", "Modality": "CR"}
    tags |= {"PixelSpacing": [0.5, 0.25], "BurnedInAnnotation": "YES", "WindowCenter": 2048, "WindowWidth": 4096, "Manufacturer": "Secret"}
    save_dicom(tmp_path / "in/a.dcm", RAMP, **NAMES, **tags)
    save_dicom(tmp_path / "in/deep/1.2.840.9", RAMP, **NAMES)
    save_dicom(tmp_path / "in/c", RAMP, PatientID="Other", StudyInstanceUID="1.2.3")
    code, out, err = htl("prepare", tmp_path / "in", "-o", tmp_path / "s", "--id-key", key, "-v")
    rows = rows_of(out)
    assert code == 0 and len(rows) == 3 and len({row["id"] for row in rows}) == 3 and len({row["group"] for row in rows}) == 2
    assert all(len(row["id"]) == 24 and int(row["id"], 16) and "frame" not in row for row in rows)
    assert next(row["meta"] for row in rows if "age" in row["meta"]) == {
        "age": 1.5,
        "sex": "female",
        "view": "PA",
        "modality": "CR",
        "pixel_spacing": [0.5, 0.25],
        "burned_in": True,
        "rendering": "window 2048/4096",
    }
    assert "DICOM: 3 files, 3 frames" in err and "1 frames are declared to have text burned in" in err
    everything = out + err.encode() + b"".join(path.read_bytes() for path in (tmp_path / "s").iterdir())
    assert not any(word in everything for word in (b"Secret", b"1960", b"Other", b"sixteen"))


def test_keys(tmp_path, save_dicom, htl, key):
    """One key gives the same names anywhere, another others; without one it is made beside the store, and read from there again."""
    save_dicom(tmp_path / "in/a.dcm", RAMP, **NAMES)

    def named(*args):
        code, out, err = htl("prepare", tmp_path / "in", *args)
        assert code == 0, err
        return (rows_of(out)[0]["id"], rows_of(out)[0]["group"]), err

    one, _ = named("-o", tmp_path / "s", "--id-key", key)
    assert named("-o", tmp_path / "t", "--id-key", key)[0] == one
    other, err = named("-o", tmp_path / "new/u")
    made = tmp_path / "new/u.id-key"
    assert f"ids are made with the new key {made}" in err and stat.S_IMODE(made.stat().st_mode) == 0o600
    assert not set(other) & set(one)
    again, err = named("-o", tmp_path / "new/u")
    assert again == other and "new key" not in err
    code, _, err = htl("prepare", tmp_path / "in", "-o", tmp_path / "v", "--id-key", tmp_path / "gone")
    assert code == 66 and "openssl rand -hex 32" in err
    key.write_text("short")
    assert htl("prepare", tmp_path / "in", "-o", tmp_path / "v", "--id-key", key)[0] == 65 and not (tmp_path / "v").exists()


def test_without_patients(tmp_path, save_dicom, htl, key):
    """Where there is no PatientID the study is the group, and where there is none either, the file; a file without UID has a name too."""
    headers = {"a": {"PatientID": "", "StudyInstanceUID": "1.5"}, "b": {"StudyInstanceUID": "1.5"}, "c": {"SOPInstanceUID": ""}}
    for name, tags in headers.items():
        save_dicom(tmp_path / f"in/{name}.dcm", np.stack([RAMP, RAMP]), frames=2, **tags)
    code, out, _ = htl("prepare", tmp_path / "in", "-o", tmp_path / "s", "--id-key", key)
    groups = {}
    for row in rows_of(out):
        groups.setdefault(row["group"], []).append((row["id"].partition("-")[2], row["frame"]))
    assert code == 0 and sorted(groups.values()) == [[("0001", 1), ("0002", 2)], [("0001", 1), ("0002", 2)] * 2]


def test_one_patient(tmp_path, save_dicom, htl, key):
    """Where all files are of one patient, as after a careless de-identification, it is said."""
    for name in "ab":
        save_dicom(tmp_path / f"in/{name}.dcm", RAMP, PatientID="ANONYMOUS")
    assert "all DICOM files are of one patient" in htl("prepare", tmp_path / "in", "-o", tmp_path / "s", "--id-key", key)[2]


def test_tables_and_masks_by_file_name(tmp_path, save_dicom, htl, key):
    """A table finds DICOM images by the name of their file, and its group and notes count; masks are found likewise."""
    for name in ("a.dcm", "1.2.840.7", "c.DCM"):
        save_dicom(tmp_path / f"in/images/{name}", RAMP, PatientSex="M", **NAMES)
    (tmp_path / "t.csv").write_text("file,patient,sex,note,x0,y0,x1,y1\na.dcm,P1,male,x,1,2,5,6\n1.2.840.7,P2,,y,3,3,9,9\nc,P3,,,0,0,4,4\n")
    args = tmp_path / "in", "--id-key", key, "--table", tmp_path / "t.csv", "--group-column", "patient"
    code, out, err = htl("prepare", *args, "-o", tmp_path / "s")
    rows = {row["group"]: row for row in rows_of(out)}
    assert code == 0 and rows["P2"]["boxes"] == [[3.0, 3.0, 9.0, 9.0]] and rows["P1"]["boxes"] == [[1.0, 2.0, 5.0, 6.0]], err
    assert rows["P2"]["meta"] == {"sex": "male", "note": "y", "rendering": "range 0 to 4080"} and len(rows) == 3
    for name in "a", "c":
        save_dicom(tmp_path / f"in/masks/{name}.dcm", drawn((2, 6), (4, 12), 255))
    code, out, err = htl("prepare", *args, "-o", tmp_path / "t")
    rows = {row["group"]: row for row in rows_of(out)}
    assert code == 0 and rows["P1"]["boxes"] == rows["P3"]["boxes"] == [[4.0, 2.0, 12.0, 6.0]]
    assert skips_in(tmp_path / "t") == {"1.2.840.7": "no mask"}


def test_segmentations_are_masks(tmp_path, save_dicom, htl, key):
    """A SEG is the mask of the instances it refers to, all its segments together; what it passes over in its series holds no lesion."""
    series = {"SeriesInstanceUID": "1.7"}
    a, b, _, d = (save_dicom(tmp_path / f"in/{name}.dcm", RAMP, PatientID=name, **series) for name in "abcd")
    save_dicom(tmp_path / "in/other.dcm", RAMP, SeriesInstanceUID="1.8")
    of_a, of_b = [drawn((1, 3), (2, 4)), drawn((2, 8), (3, 9))], drawn((0, 1), (0, 1))
    frames = [*((a.SOPInstanceUID, frame) for frame in of_a), (b.SOPInstanceUID, of_b)]
    segmentation(save_dicom, tmp_path / "in/seg.dcm", "1.7", frames)
    fractional = {"SegmentationType": "FRACTIONAL", "MaximumFractionalValue": 100}
    segmentation(save_dicom, tmp_path / "in/seg2.dcm", "1.7", [(d.SOPInstanceUID, drawn((1, 3), (5, 7), 60))], **fractional)
    code, out, err = htl("prepare", tmp_path / "in", "-o", tmp_path / "s", "--id-key", key, "--size", "16")
    assert code == 0 and sorted(row["boxes"][0] for row in rows_of(out)) == [[0, 0, 1, 1], [2, 1, 9, 8], [5, 1, 7, 3]]
    assert skips_in(tmp_path / "s") == {"c.dcm": "the mask is empty", "other.dcm": "no mask"}
    assert "2 segmentations, which refer to 4 of the frames" in err
    with h5py.File(tmp_path / "s/00000.h5") as file:
        assert sorted((file["masks"][:] > 0).sum((1, 2))) == [1, 4, 39]
    args = tmp_path / "in", "-o", tmp_path / "t", "--id-key", key, "--keep-unlabelled"
    boxes = [row.get("boxes") for row in rows_of(htl("prepare", *args)[1])]
    assert len(boxes) == 5 and boxes.count([]) == boxes.count(None) == 1


def test_segmentations_by_frame_and_by_position(tmp_path, save_dicom, htl, key):
    """A SEG may name a frame of a multi-frame file, or lie where a slice lies; it may stand in the folder of masks."""
    many = save_dicom(tmp_path / "in/images/many.dcm", np.stack([RAMP, RAMP, RAMP]), frames=3, SeriesInstanceUID="1.7")
    save_dicom(tmp_path / "in/images/slice.dcm", RAMP, SeriesInstanceUID="1.8", ImagePositionPatient=[0, 0, 12.50001])
    segmentation(save_dicom, tmp_path / "in/masks/m.dcm", "1.7", [((many.SOPInstanceUID, 2), drawn((1, 3), (2, 4)))])
    segmentation(save_dicom, tmp_path / "in/masks/p.dcm", "1.8", [("", drawn((4, 5), (6, 7)))], positions=[[0, 0, 12.5]])
    code, out, err = htl("prepare", tmp_path / "in", "-o", tmp_path / "s", "--id-key", key)
    rows = rows_of(out)
    assert code == 0 and {(row.get("frame"), str(row["boxes"])) for row in rows} == {
        (2, "[[2.0, 1.0, 4.0, 3.0]]"),
        (None, "[[6.0, 4.0, 7.0, 5.0]]"),
    }, err


def test_what_is_no_image(tmp_path, save_dicom, htl, key):
    """Reports, videos and damaged files are left out with a reason, and the others stay."""
    save_dicom(tmp_path / "in/a.dcm", RAMP)
    report = "1.2.840.10008.5.1.4.1.1.88.11"
    save_dicom(tmp_path / "in/report.dcm", RAMP, Rows=0, SOPClassUID=report)
    save_dicom(tmp_path / "in/video.dcm", RAMP, syntax=MPEG4HP41, data=encapsulate([b"\0" * 600]))
    (tmp_path / "in/bad.dcm").write_bytes(b"no DICOM at all, for sure")
    save_dicom(tmp_path / "in/cut.dcm", RAMP)
    (tmp_path / "in/cut.dcm").write_bytes((tmp_path / "in/cut.dcm").read_bytes()[:-100])
    save_dicom(tmp_path / "in/none.dcm", RAMP)
    data = (tmp_path / "in/none.dcm").read_bytes()
    (tmp_path / "in/none.dcm").write_bytes(data[: data.index(b"\xe0\x7f\x10\x00")] + b"\0" * 0)
    code, out, _ = htl("prepare", tmp_path / "in", "-o", tmp_path / "s", "--id-key", key)
    reasons = skips_in(tmp_path / "s")
    assert code == 0 and len(rows_of(out)) == 1 and set(reasons) == {"report.dcm", "video.dcm", "bad.dcm", "cut.dcm", "none.dcm"}
    assert reasons["report.dcm"] == "it holds no image (Basic Text SR Storage)" and reasons["bad.dcm"].startswith("no DICOM file")
    assert reasons["video.dcm"].startswith("no decoder knows its transfer syntax (MPEG-4")


def test_missing_decoders(tmp_path, save_dicom, htl, key, monkeypatch):
    """Where decoders are missing, the run ends before it decodes anything, with counts and the line that installs them."""
    save_dicom(tmp_path / "in/a.dcm", RAMP)
    for name in "bc":
        save_dicom(tmp_path / f"in/{name}.dcm", RAMP, syntax=JPEG2000Lossless, data=encapsulate([b"\0" * 600]))
    monkeypatch.setattr("htltools.commands.prepare.dicom.is_decodable", lambda syntax: syntax != JPEG2000Lossless)
    code, out, err = htl("prepare", tmp_path / "in", "-o", tmp_path / "s", "--id-key", key)
    assert code == 65 and not out and not (tmp_path / "s").exists()
    line = "decoders are missing for 2 of 3 DICOM files (2 of JPEG 2000 Image Compression (Lossless Only)); pip install 'htltools[dicom]'"
    assert line in err


def test_windows(tmp_path, save_dicom, htl, key):
    """--window reaches the images, and a store of another window is another store."""
    save_dicom(tmp_path / "in/a.dcm", RAMP)
    args = "prepare", tmp_path / "in", "-o", tmp_path / "s", "--id-key", key, "--size", "16"
    code, out, _ = htl(*args, "--window", "2048/1")
    assert code == 0 and rows_of(out)[0]["meta"]["rendering"] == "window 2048/1"
    with h5py.File(tmp_path / "s/00000.h5") as file:
        assert (file["images"][0, ..., 0] == np.where(RAMP > 2047.5, 255, 0)).all()
    assert htl(*args)[0] == 73 and htl(*args, "--window", "wide")[0] == 2


@pytest.mark.filterwarnings("ignore")
def test_samples(shared_data, tmp_path, htl, key):
    """Of the sample files every one is read, serves as a mask, or is left out as a second coding of another; nothing crashes."""
    code, out, err = htl("prepare", shared_data / "dicom-samples/files", "-o", tmp_path / "s", "--id-key", key, "-j", "1")
    lines = list(map(json.loads, (tmp_path / "s/skips.jsonl").read_bytes().splitlines()))
    skips = [line for line in lines if "reason" in line and not line.get("kept")]
    assert code == 0 and "DICOM: 45 files, 80 frames, 7 segmentations, which refer to 0 of the frames" in err
    assert len(rows_of(out)) == 39 and len(skips) == 41 and all(skip["reason"].startswith("the id is taken by") for skip in skips)
    names = b"JANCT", b"CQ500", b"PANCREAS_", b"021234567", b"99000"
    assert not any(name in out for name in names)
