"""Facts of images that tables and annotation files give, and the keys that images are known by in them."""

import os
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from htltools.formats.dicom.file import DICOM_SUFFIXES
from htltools.formats.images.image import IMAGE_SUFFIXES

SPLIT_WORDS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
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


def image_key(name: str) -> str:
    """The name of an image in a table or file, made comparable: a relative path with / and without an image's suffix.

    >>> image_key("./a\\\\ISIC_1.JPG"), image_key("000001-12"), image_key("v1.2")
    ('a/ISIC_1', '000001-12', 'v1.2')
    """
    name = name.replace("\\", "/")
    name = str(PurePosixPath(name)) if "/" in name else name
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in IMAGE_SUFFIXES | DICOM_SUFFIXES else name
