"""A sample to be, before its image is decoded."""

import os
from dataclasses import dataclass, field

from htltools.formats.tables.csv_table import Facts

UNKNOWN = Facts(known=False)


@dataclass(slots=True)
class Candidate:
    """A sample to be: what is known of it before its image is decoded. Small: there may be a million of them."""

    id: str
    image: str = ""  # path; empty for a synthetic image
    mask: str | None = None
    facts: Facts = field(default_factory=lambda: UNKNOWN)  # what tables and annotations say of it; images of one name share it
    masked: bool = False  # whether its source has masks: then boxes come from them alone
    phantom: int | None = None  # index of a synthetic image
    split: str | None = None  # where it stands once this is settled
    dicom: bool = False
    frame: int | None = None  # number of the frame in a DICOM file of several, from 1
    segments: tuple[tuple[str, int], ...] | None = None  # (path, frame) of DICOM segmentations; None: none speaks of the image

    @property
    def origin(self) -> str:
        """What the candidate was made from, to be shown to people."""
        return readable(self.image) if self.image else "phantom"

    def stamp(self) -> list:
        """What must be the same for an old result to stand: facts, and name, size and time of the files."""
        files = [file_stamp(path) for path in (self.image, self.mask, *dict(self.segments or ()))]
        told = self.facts
        facts = [told.group, told.label, told.boxes, told.labels, told.frame, told.meta, told.known]
        return [self.id, files, facts, self.split, self.masked, self.phantom, self.frame, self.segments and len(self.segments)]


def file_stamp(path: str | None) -> list | None:
    """Name, size in bytes and time of change of a file; None where it is not there."""
    try:
        stat = os.stat(path) if path else None
    except OSError:
        return [readable(path)]
    return [readable(path), stat.st_size, stat.st_mtime_ns] if stat else None


def readable(name: str) -> str:
    """A file name as text; bytes that are no UTF-8 as \\xNN."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")
