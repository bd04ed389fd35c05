"""Annotation files of labelling tools and published data sets: which of them a folder holds, and what they say."""

from pathlib import Path

from htltools.formats.sources.names import ImageNames
from htltools.formats.tables.coco import read_coco
from htltools.formats.tables.facts import Annotations


def annotations_in(folder: Path, images: ImageNames) -> list[Annotations]:
    """What the annotation files below a folder say; none where it holds no such file. Files of other kinds are passed over.

    Raises: DataError where a file is of a known kind, and damaged.
    """
    return []


def read_annotations(path: Path, images: ImageNames) -> Annotations:
    """What an annotation file or folder says: COCO, Pascal VOC, YOLO, Label Studio or CVAT, known by its content.

    Raises: MissingInput; DataError where it is none of them.
    """
    return read_coco(path)
