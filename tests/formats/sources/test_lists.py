"""Lists of images on stdin."""

import pytest

from htltools.commands.prepare.gather import list_lines
from htltools.errors import MissingInput


def test_separators():
    """Lines end in LF, CRLF or NUL; a byte order mark is none of a name; PowerShell writes UTF-16."""
    assert list_lines(b"\xef\xbb\xbfa b.png\r\n\r\nc.png\n") == ["a b.png", "", "c.png"]
    assert list_lines(b"a\nb.png\0c.png\0") == ["a\nb.png", "c.png", ""]
    assert list_lines("\ufeffä.png\r\nb.png".encode("utf-16-le")) == ["ä.png", "b.png"]


def test_quotes_and_blanks(folder, candidates_of):
    """Quotes around a path and blanks at its ends are none of its name, unless there is such a file."""
    root = folder("a.png", "b.png", "c.png ", "d.png")
    lines = [f"'{root}/a.png'", f'"{root}/b.png"', f"{root}/c.png ", f"  {root}/d.png"]
    assert [c.image for c in candidates_of("-", listed=lines).candidates] == [
        str(root / name) for name in ("a.png", "b.png", "c.png ", "d.png")
    ]


def test_what_is_no_image(folder, candidates_of):
    """A folder in the list and a file that is not there are left out with a reason, and a file given twice is one."""
    root = folder("i/a.png")
    findings = candidates_of("-", listed=[str(root / "i"), str(root / "i/a.png"), str(root / "gone.png"), f"{root}/./i/a.png"])
    assert [c.id for c in findings.candidates] == ["a"]
    assert {skip["id"]: skip["reason"] for skip in findings.skips} == {
        "i": "it is a folder: name it as a source",
        "gone": "it is not there",
        "a": "it is given twice",
    }


def test_all_missing(candidates_of):
    """A list of files that are all missing is a missing input."""
    with pytest.raises(MissingInput, match="none of the 2 files listed is there; the first is gone.png"):
        candidates_of("-", listed=["gone.png", "lost.png"])


def test_masks_in_the_list(folder, candidates_of):
    """`find` lists masks as well: they are masks, and no images."""
    root = folder("images/a.png", "masks/a.png", "images/b.png", "images/b_mask.png")
    lines = [str(root / name) for name in ("images/a.png", "masks/a.png", "images/b.png", "images/b_mask.png")]
    found = {c.id: [mask.removeprefix(f"{root}/") for mask in c.masks] for c in candidates_of("-", listed=lines).candidates}
    assert found == {"a": ["masks/a.png"], "b": ["images/b_mask.png"]}


def test_one_name_in_two_folders(folder, candidates_of):
    """Images of one name in two folders have the folder in their ids."""
    root = folder("x/a.png", "y/a.png", "y/b.png")
    assert [c.id for c in candidates_of(root / "x/a.png", root / "y/a.png", root / "y/b.png").candidates] == ["b", "x/a", "y/a"]


def test_images_of_a_folder_of_images(folder, candidates_of):
    """Images named one by one have the masks that lie beside their folder, and the table."""
    root = folder("images/a.png", "images/b.png", "masks/a.png", "masks/b.png", metadata="id,patient_id\na,P1\n")
    findings = candidates_of(root / "images/a.png")
    (candidate,) = findings.candidates
    assert len(candidate.masks) == 1 and candidate.facts.group == "P1" and not findings.masks_without_image


@pytest.mark.parametrize("listed", [True, False])
def test_kinds_that_are_not_read(folder, candidates_of, listed):
    """Slides, HEIC and volumes are left out and counted by kind, as in folders, listed or named; what may be read as it is stays."""
    root = folder("a.png", "b.heic", "c.svs", "d.nii.gz", "e.j2k", "f")
    paths = [str(root / name) for name in ("a.png", "b.heic", "c.svs", "d.nii.gz", "e.j2k", "f")]
    findings = candidates_of("-", listed=paths) if listed else candidates_of(*paths)
    assert [c.id for c in findings.candidates] == ["a", "e", "f"]
    assert dict(findings.other_kinds) == {".heic": 1, ".svs": 1, ".nii.gz": 1}
    assert {skip["reason"] for skip in findings.skips} == {"images of its kind are not read"}


def test_only_kinds_that_are_not_read(folder, candidates_of):
    """Where nothing else is listed, no image is left, and the reason is said."""
    with pytest.raises(MissingInput, match="images of its kind are not read"):
        candidates_of("-", listed=[str(folder("a.heic") / "a.heic")])
