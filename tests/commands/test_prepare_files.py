"""Rows of `htl prepare` keep the way back to the files that they are made of."""

import json
import os

import numpy as np
import pytest


def rows_of(out):
    """The rows among lines."""
    return [line for line in map(json.loads, out.splitlines()) if "id" in line]


@pytest.mark.parametrize("source", [".", "study", "study/images", "{tmp}/study"])
def test_of_a_folder(htl, study, tmp_path, monkeypatch, source):
    """Paths are relative to the folder that was named, which the row names as well; joined, they lead to image and mask from anywhere."""
    monkeypatch.chdir(study if source == "." else tmp_path)
    code, out, err = htl("prepare", source.format(tmp=tmp_path), "-o", tmp_path / "store", "--size", "8")
    assert code == 0, err
    rows = rows_of(out)
    start = "" if source.endswith("images") else "images/"
    assert [row["file"] for row in rows] == [f"{start}{name}.png" for name in "abc"]
    for row, name in zip(rows, "abc"):
        image, mask = (os.path.join(row["source_folder"], path) for path in (row["file"], *row["mask_files"]))
        assert os.path.isabs(image) and os.path.samefile(image, study / f"images/{name}.png")
        assert os.path.samefile(mask, study / f"masks/{name}.png")


def test_of_a_list(htl, study, tmp_path, monkeypatch):
    """Paths of a list stay as they are written there: relative ones to the folder one stands in, absolute ones on their own."""
    monkeypatch.chdir(tmp_path)
    args = "prepare", "-", "-o", tmp_path / "store", "--size", "8", "--keep-unlabelled"
    (row,) = rows_of(htl(*args, stdin=b"study/images/a.png\n")[1])
    assert (row["file"], row["source_folder"]) == ("study/images/a.png", str(tmp_path))
    (row,) = rows_of(htl(*args, "--force", stdin=f"{study}/images/a.png\n".encode())[1])
    assert row["file"] == f"{study}/images/a.png" and "source_folder" not in row


def test_of_dicom_and_phantoms(htl, save_dicom, tmp_path):
    """The name of a DICOM file may be that of a patient, and a synthetic image has no file: rows of neither name one."""
    save_dicom(tmp_path / "series/Jane_Doe.dcm", np.arange(400, dtype=np.int16).reshape(20, 20))
    for args in (tmp_path / "series", "--keep-unlabelled"), ("--phantom", 2):
        code, out, err = htl("prepare", *args, "-o", tmp_path / f"store{len(str(args))}", "--size", "8")
        assert code == 0, err
        assert rows_of(out) and not any({"file", "source_folder", "mask_files"} & row.keys() for row in rows_of(out))
        assert b"Jane_Doe" not in b"".join(line for line in out.splitlines() if line.startswith(b'{"id"'))
