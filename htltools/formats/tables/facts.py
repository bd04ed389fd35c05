"""Facts of images that tables and annotation files give, and the keys that images are known by in them."""

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from htltools.formats.dicom.file import DICOM_SUFFIXES
from htltools.formats.images.image import IMAGE_SUFFIXES

SPLIT_WORDS = {
    "train": "train", "training": "train", "trn": "train", "tr": "train",
    "val": "val", "valid": "val", "validate": "val", "validation": "val", "dev": "val", "development": "val",
    "test": "test", "testing": "test", "tst": "test",
}  # fmt: skip


@dataclass(slots=True)
class Facts:
    """What tables and annotation files give for one image."""

    group: str | None = None
    split: str | None = None
    label: str | None = None
    boxes: list[list[float]] | None = None  # None: none given; [x0, y0, x1, y1] in `frame`
    labels: list[str] | None = None  # class of each box, where they have one of their own
    frame: tuple[float, float] | None = None  # (width, height) of the boxes' frame where it is declared
    meta: dict[str, Any] = field(default_factory=dict)
    known: bool = True  # False: no table or file names the image
    shares: bool = False  # whether boxes and outlines are shares of the image's sides, and not pixels
    categories: list[str | None] | None = None  # class of each box as it is written, where or not several are used
    outlines: list[Any] | None = None  # of objects, as COCO has them: polygons [[x, y, x, y, ...], ...] or run lengths {size, counts}


@dataclass
class Annotations:
    """What one table, annotation file or folder of such files says of images.

    source: how to name it to a person. facts: by the name of the image exactly as it is written there, see `sources.names`. boxed:
    whether it is a source of boxes or outlines. roles: where ids, groups, labels, splits and boxes come from, such as
    {"groups": "column patient_id"}. unused: columns and keys that no role takes and that are not kept as metadata. left_out: parts that
    cannot be used, {id, source, reason} each. doubts: sentences on what looks wrong and is kept. notes: sentences on what was assumed.
    """

    source: str
    facts: dict[str, Facts]
    path: Path | None = None
    boxed: bool = False
    roles: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class KnownImages(Protocol):
    """The images that names may mean, see `sources.names.ImageNames`."""

    def candidates(self, name: str) -> tuple[int, list[int]]:
        """How many parts at the end of the path fit, and the numbers of the images that fit best."""
        ...


def image_key(name: str) -> str:
    """The name of an image in a table or file, made comparable: a relative path with / and without an image's suffix.

    >>> image_key("./a\\\\ISIC_1.JPG"), image_key("000001-12"), image_key("v1.2")
    ('a/ISIC_1', '000001-12', 'v1.2')
    """
    name = name.replace("\\", "/")
    name = str(PurePosixPath(name)) if "/" in name else name
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in IMAGE_SUFFIXES | DICOM_SUFFIXES else name
