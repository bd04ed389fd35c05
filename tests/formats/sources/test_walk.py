"""What is below a folder, and what is passed over."""

import io
import os

import pytest
from PIL import Image

from htltools.errors import MissingInput
from htltools.formats.sources.walk import walk


def test_other_kinds(folder, candidates_of):
    """Images that are not read are left out with a reason and counted by suffix; files of text are none."""
    root = folder("images/a.png")
    jpeg = io.BytesIO()
    Image.new("L", (4, 4)).save(jpeg, "JPEG")
    for name, data in {
        **{"b.heic": b"", "c.nii.gz": b"", "d": jpeg.getvalue(), "e.JPG_large": jpeg.getvalue(), "f.jpg.txt": jpeg.getvalue()},
        **{
            "g.avif": b"",
            "h.svs": b"",
            "i.j2k": b"",
            "notes.txt": b"text",
            "LICENSE": b"text",
            "a.jpg.txt": b"0 .5 .5 .1 .1",
            "t.csv": b"",
        },
    }.items():
        (root / "images" / name).write_bytes(data)
    findings = candidates_of(root)
    assert [c.id for c in findings.candidates] == ["a"]
    assert findings.other_kinds == {
        **{".heic": 1, ".nii.gz": 1, "without suffix": 1, ".jpg_large": 1, ".txt": 1, ".avif": 1, ".svs": 1, ".j2k": 1}
    }
    assert len(findings.skips) == 8 and {skip["reason"] for skip in findings.skips} == {"images of its kind are not read"}


def test_nothing_but_other_kinds(folder, candidates_of):
    """Where all images are of such kinds, the error says so."""
    root = folder()
    (root / "a.heic").write_bytes(b"")
    with pytest.raises(MissingInput, match="images of its kind are not read"):
        candidates_of(root)


def test_unreadable_folder(folder, candidates_of, monkeypatch):
    """A folder that cannot be read is left out with a reason."""
    root = folder("images/a.png", "images/closed/b.png")
    scandir = os.scandir

    def refuse(path):
        if "closed" in os.path.basename(os.path.normpath(path)):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    findings = candidates_of(root)
    assert [(skip["id"], skip["reason"]) for skip in findings.skips] == [("images/closed", "the folder cannot be read (permission denied)")]


def test_folders_of_systems(folder):
    """Thumbnails and resource forks of other systems are passed over."""
    root = folder("a.png", "@eaDir/a.png/THUMB_M.jpg", "__MACOSX/._a.png", ".ipynb_checkpoints/a.png", "._b.png")
    assert walk(str(root)).images == ["a.png"]


def test_links(folder):
    """Links to folders are followed, but not in circles."""
    root = folder("set/a.png", "elsewhere/b.png")
    (root / "set/more").symlink_to(root / "elsewhere")
    (root / "set/up").symlink_to(root / "set")
    (root / "elsewhere/back").symlink_to(root / "set")
    assert walk(str(root / "set")).images == ["a.png", os.path.join("more", "b.png")]


def test_odd_names(folder, candidates_of):
    """Any name of a file is one of an image, and of its mask."""
    names = ["new\nline", "trail ", "v1.2.3", "#1", "50%", "-o", 'q"', "l\udce4sion", "Läsion", "a.b.jpg", "IMG_1", "img_1"]
    root = folder(*(f"images/{name}.png" for name in names), *(f"masks/{name}.png" for name in names))
    masks = {os.path.basename(c.image): [os.path.basename(mask) for mask in c.masks] for c in candidates_of(root).candidates}
    assert masks == {f"{name}.png": [f"{name}.png"] for name in names}


def test_decomposed_names(folder, candidates_of):
    """Names are compared composed, as macOS does not store them."""
    root = folder("images/La\u0308sion.png", "masks/L\u00e4sion.png", metadata="id,label\nL\u00e4sion,nv\n")
    (candidate,) = candidates_of(root).candidates
    assert len(candidate.masks) == 1 and candidate.facts.label == "nv"
