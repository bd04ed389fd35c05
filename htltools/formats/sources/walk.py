"""The files below a folder: images and DICOM, and what looks like an image and cannot be used."""

import os
from dataclasses import dataclass, field

from htltools.formats.dicom.file import DICOM_SUFFIXES, is_dicom
from htltools.formats.images.image import IMAGE_SUFFIXES

OTHER_IMAGES = frozenset(
    {
        *(".heic", ".heif", ".avif", ".jxl", ".jxr", ".j2k", ".j2c", ".jpc", ".jpx", ".jpf", ".jpm", ".pbm", ".pam"),
        *(".pfm", ".tga", ".psd"),
        *(".svs", ".ndpi", ".scn", ".mrxs", ".vms", ".bif", ".czi", ".lsm", ".vsi", ".qptiff"),  # slides
        *(".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".dcm.gz"),  # volumes
        *(".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".exr", ".hdr", ".dds", ".jpg_large"),
    }
)  # kinds of images that are not read
NAMED_ALONE = {".j2k", ".j2c", ".jpc", ".jpx", ".jpf", ".jpm", ".pbm", ".pam", ".pfm", ".jpg_large"}  # that are read where they are named
TEXT = frozenset(
    {
        *(".csv", ".tsv", ".tab", ".json", ".jsonl", ".xml", ".md", ".html", ".yaml", ".yml", ".py", ".ini", ".log"),
        *(".pdf", ".xlsx", ".xls", ".zip", ".tar", ".h5", ".npy", ".npz", ".db"),
    }
)  # kinds of files that are not opened to see whether they are images
PASSED_FOLDERS = frozenset({"@eaDir", "__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found", "#recycle"})  # of systems
SIGNATURES = b"\xff\xd8\xff", b"\x89PNG\r\n", b"II*\0", b"MM\0*", b"GIF8", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"
BRANDS = b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis"  # of ISO media files that are images
LINKS = 40  # links in one path, as Linux allows


@dataclass
class Walk:
    """The images and DICOM files below a folder, in order; what looks like an image and is not read, and folders that cannot be read."""

    images: list[str] = field(default_factory=list)  # relative paths, as are those below
    other_images: dict[str, str] = field(default_factory=dict)  # kind, such as ".heic", by path
    unreadable: dict[str, str] = field(default_factory=dict)  # reason by path


def walk(folder: str) -> Walk:
    """All files below a folder; links are followed, but not to a folder that holds the link.

    Hidden files and those of systems are passed over.
    """
    found = Walk()
    visit(folder, "", (), found)
    return found


def visit(folder: str, relative: str, above: tuple[str, ...], found: Walk) -> None:
    """Add what one folder holds. `relative`: its path with / at the end; `above`: the real paths of the folders that it lies in."""
    try:
        with os.scandir(os.path.join(folder, relative)) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        found.unreadable[relative.rstrip(os.sep)] = f"the folder cannot be read ({(error.strerror or str(error)).lower()})"
        return
    here = (*above, os.path.realpath(os.path.join(folder, relative)))
    folders = []
    for entry in listed:
        if entry.name.startswith(".") or entry.name in PASSED_FOLDERS:
            continue
        if entry.is_dir():
            folders.append(entry)
            continue
        path = relative + entry.name
        if has_suffix(entry.name) or is_dicom_file(entry.path):
            found.images.append(path)
        elif kind := other_kind(entry.path):
            found.other_images[path] = kind
    for entry in folders:
        if not entry.is_symlink() or (os.path.realpath(entry.path) not in here and len(here) <= LINKS):
            visit(folder, os.path.join(relative + entry.name, ""), here, found)


def has_suffix(name: str) -> bool:
    """Whether a file is an image by its suffix.

    >>> has_suffix("a.PNG"), has_suffix("a.txt")
    (True, False)
    """
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def is_dicom_file(path: str) -> bool:
    """Whether a file that is no image by its suffix is DICOM; files of text are not opened."""
    suffix = os.path.splitext(path)[1].lower()
    return suffix in DICOM_SUFFIXES or (suffix not in TEXT and suffix != ".txt" and is_dicom(path))


def kind_by_suffix(path: str) -> str | None:
    """The kind of a file that is an image by a suffix of those that are not read; None: it is none.

    >>> kind_by_suffix("a/scan.nii.gz"), kind_by_suffix("photo.HEIC"), kind_by_suffix("photo.png")
    ('.nii.gz', '.heic', None)
    """
    stem, suffix = os.path.splitext(os.path.basename(path))
    double = os.path.splitext(stem)[1] + suffix
    return next((kind for kind in (double.lower(), suffix.lower()) if kind in OTHER_IMAGES), None)


def unread_kind(path: str) -> str | None:
    """The kind of a file that was named, where it can be read neither as it is nor as DICOM; None: it is worth trying.

    >>> unread_kind("slide.svs"), unread_kind("a.j2k"), unread_kind("a")
    ('.svs', None, None)
    """
    kind = kind_by_suffix(path)
    return None if kind is None or kind in NAMED_ALONE or is_dicom(path) else kind


def other_kind(path: str) -> str | None:
    """The kind of a file that is an image by another suffix, or by its first bytes; None: it is none.

    >>> other_kind("scan.nii.gz"), other_kind("photo.HEIC"), other_kind("notes.csv")
    ('.nii.gz', '.heic', None)
    """
    if kind := kind_by_suffix(path):
        return kind
    stem, suffix = os.path.splitext(os.path.basename(path))
    suffix = suffix.lower()
    if suffix in TEXT or (suffix == ".txt" and not has_suffix(stem)) or not os.path.isfile(path):  # a pipe would wait
        return None
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except OSError:
        return None
    boxed = (start[:4] == b"RIFF" and start[8:12] == b"WEBP") or (start[4:8] == b"ftyp" and start[8:12] in BRANDS)
    bitmap = start[:2] == b"BM" and start[6:10] == bytes(4)
    return (suffix or "without suffix") if boxed or bitmap or start.startswith(SIGNATURES) else None
