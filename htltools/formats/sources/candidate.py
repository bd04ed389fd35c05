"""Candidates: samples whose images are not decoded yet."""

import os
from dataclasses import dataclass, field
from typing import Any

from htltools.formats.remote.address import shown
from htltools.formats.tables.facts import Facts

UNKNOWN = Facts(known=False)


@dataclass(slots=True)
class Candidate:
    """A sample whose image is not decoded yet. Small: there may be a million of them."""

    id: str
    image: str = ""  # path; empty for a synthetic image
    masks: tuple[str, ...] = ()  # files, each of a lesion or of several
    facts: Facts = field(default_factory=lambda: UNKNOWN)  # from tables and annotations; images of one name share it
    masked: bool = False  # whether its source has masks: then boxes come from them alone
    phantom: int | None = None  # index of a synthetic image
    split: str | None = None  # once the splits are drawn
    dicom: bool = False
    frame: int | None = None  # number of the frame in a DICOM file of several, from 1
    correction: Facts | None = None  # what a review says of it, instead of all that was known
    root: str = ""  # the folder that was named as its source; empty: the image was named itself
    segments: tuple[tuple[str, int], ...] | None = None  # (path, frame) of DICOM segmentations; None: none refers to the image

    @property
    def origin(self) -> str:
        """The source of the candidate, as shown to people."""
        return readable(shown(self.image)) if self.image else "phantom"

    def content(self) -> list:
        """What tells the sample apart, without where its files lie and when they were written: other machines may have copies."""
        return [self.id, *self.known(), self.dicom]

    def files(self) -> dict[str, Any]:
        """The way back to the files, as fields of a row: see `schema.Sample`. None of DICOM, whose names may be those of patients."""
        if not self.image or self.dicom:
            return {}
        if not self.root and os.path.isabs(self.image):
            paths, folder = [shown(os.path.abspath(path)) for path in (self.image, *self.masks)], {}
        else:
            paths = [os.path.relpath(path, self.root) if self.root else path for path in (self.image, *self.masks)]
            folder = {"source_folder": readable(shown(os.path.abspath(self.root)))}
        own, *masks = map(readable, paths)
        return {"file": own} | folder | ({"mask_files": masks} if masks else {})

    def stamp(self) -> list:
        """What the stored sample depends on: facts, and name, size and time of the files. An unchanged stamp means an unchanged sample."""
        files = [file_stamp(path) for path in (self.image, *(self.masks or (None,)), *dict(self.segments or ()))]
        return [self.id, shown(self.root), files, *self.known()]

    def known(self) -> list:
        """What is known of the sample beside its files."""
        own = self.facts
        other = self.correction
        corrected = other and [other.boxes, other.categories, other.frame, other.shares, other.outlines]
        facts = [own.group, own.label, own.boxes, own.labels, own.frame, own.meta, own.known, own.shares, own.outlines]
        return [facts, corrected, self.split, self.masked, self.phantom, self.frame, self.segments and len(self.segments)]


def file_stamp(path: str | None) -> list | None:
    """Name, size in bytes and time of change of a file, or only its name where it is not there; None without a path."""
    if not path:
        return None
    try:
        stat = os.stat(path)
    except OSError:
        return [readable(path)]
    name = shown(path)
    if name != path:  # a copy in the cache
        from htltools.formats.remote.cache import version_of

        return [readable(name), stat.st_size, version_of(path)]
    return [readable(path), stat.st_size, stat.st_mtime_ns]


def readable(name: str) -> str:
    """A file name as text; bytes that are no UTF-8 as \\xNN."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")
