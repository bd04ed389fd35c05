"""Annotation files of labelling tools and published data sets: which of them a folder holds, and what they say."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from htltools.errors import DataError, MissingInput
from htltools.formats.sources.names import ImageNames, name_parts
from htltools.formats.tables.coco import coco_annotations, is_coco, json_of
from htltools.formats.tables.cvat import is_cvat, read_cvat
from htltools.formats.tables.facts import SPLIT_WORDS, Annotations
from htltools.formats.tables.label_studio import is_label_studio, read_label_studio
from htltools.formats.tables.voc import is_voc, read_voc
from htltools.formats.tables.xml_file import parsed_xml
from htltools.formats.tables.yolo import LABELS, NAMES_FILES, read_yolo, settings_in

KINDS = "COCO, Pascal VOC, YOLO (a folder or its data.yaml), Label Studio or CVAT"
SETTINGS = ".yaml", ".yml"


def annotations_in(folder: Path, images: ImageNames, readers: str | None = None) -> list[Annotations]:
    """What the annotation files below a folder say; none where it holds no such file. Files of other kinds are passed over.

    Where several COCO files say nothing of splits, and their names do, such as train.json and val.json, these are the splits.

    Raises: DataError where a data.yaml is damaged.
    """
    files = files_below(folder)
    coco = [made for path in files if path.suffix.lower() == ".json" for made in of_json(path, images, readers)]
    found = [*with_splits_of_names(coco), *of_xml([path for path in files if path.suffix.lower() == ".xml"], images)]
    roots = yolo_roots(folder, files)
    return found + [read_yolo(root, images, settings) for root, settings in roots.items()]


def read_annotations(path: Path, images: ImageNames, readers: str | None = None) -> Annotations:
    """What an annotation file or folder says: COCO, Pascal VOC, YOLO, Label Studio or CVAT, known by its content. readers: see --readers.

    Raises: MissingInput; DataError where it is none of them.
    """
    if path.is_dir():
        return of_folder(path, images, readers)
    if not path.exists():
        raise MissingInput(f"the annotations {path} are not there")
    suffix = path.suffix.lower()
    if suffix in SETTINGS:
        return read_yolo(path.parent, images, path)
    if suffix == ".xml":
        root = parsed_xml(path)
        if is_cvat(root):
            return with_whole_paths(read_cvat(path), path, images)
        if is_voc(root):
            return read_voc(path, [path], images)
    elif suffix == ".txt":
        return read_yolo(path.parent, images)
    else:
        content = json_of(path)
        if is_coco(content):
            return with_whole_paths(coco_annotations(content, path), path, images)
        if is_label_studio(content):
            return read_label_studio(path, images, readers)
    raise DataError(f"{path} is no annotation file that is read", f"name one of {KINDS}")


def of_folder(folder: Path, images: ImageNames, readers: str | None) -> Annotations:
    """What all annotation files below a folder say, as one.

    Raises: DataError where there is none, or two of them speak of one image.
    """
    found = annotations_in(folder, images, readers)
    if not found and any(path.suffix.lower() == ".txt" for path in files_below(folder)):
        found = [read_yolo(folder, images)]
    if not found:
        raise DataError(f"{folder} holds no annotation file that is read", f"name one of {KINDS}")
    first, *others = found
    for other in others:
        if both := first.facts.keys() & other.facts.keys():
            raise DataError(f"{first.source} and {other.source} both speak of {min(both)!r}", "name one of them")
        first = Annotations(
            str(folder),
            first.facts | other.facts,
            folder,
            True,
            first.roles | other.roles,
            *(getattr(first, name) + getattr(other, name) for name in ("unused", "left_out", "doubts", "notes")),
        )
    return first


def files_below(folder: Path) -> list[Path]:
    """The files below a folder that may be annotations, in order; hidden ones and those of systems are passed over."""
    kept = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "@", "__MACOSX")))
        kept += [Path(root, name) for name in sorted(files) if not name.startswith(".") and name.lower().endswith(ENDINGS)]
    return kept


ENDINGS = (".json", ".xml", ".txt", *SETTINGS, *NAMES_FILES)


def of_json(path: Path, images: ImageNames, readers: str | None) -> list[Annotations]:
    """What a JSON file says, if it is of COCO or Label Studio and speaks of at least one object; else nothing."""
    try:
        content: Any = json_of(path)
    except DataError:
        return []
    if is_coco(content):
        made = with_whole_paths(coco_annotations(content, path), path, images)
    elif is_label_studio(content):
        made = read_label_studio(path, images, readers)
    else:
        return []
    return [made] if any(facts.boxes is not None for facts in made.facts.values()) else []


def of_xml(files: Sequence[Path], images: ImageNames) -> list[Annotations]:
    """What XML files say: those of CVAT one by one, those of Pascal VOC folder by folder; others are passed over."""
    found: list[Annotations] = []
    voc: dict[Path, list[Path]] = {}
    damaged = []
    for path in files:
        try:
            root = parsed_xml(path)
        except DataError:
            damaged.append(path)
            continue
        if is_cvat(root):
            found.append(with_whole_paths(read_cvat(path), path, images))
        elif is_voc(root):
            voc.setdefault(path.parent, []).append(path)
    for path in damaged:
        voc.get(path.parent, []).append(path)  # to be left out by name
    return found + [read_voc(folder, own, images) for folder, own in voc.items()]


def yolo_roots(folder: Path, files: Sequence[Path]) -> dict[Path, Path | None]:
    """The YOLO data sets below a folder, with their data.yaml: the folders of such a file or of class names, else one with labels/."""
    below = [path.parent for path in files if path.suffix.lower() in SETTINGS or path.name in NAMES_FILES]
    roots = {root.parent if root.name == LABELS else root: None for root in below}
    known: dict[Path, Path | None] = {root: settings_in(root) for root in sorted(roots, key=lambda root: len(root.parts))}
    texts = [path for path in files if path.suffix.lower() == ".txt" and path.name not in NAMES_FILES]
    chosen: dict[Path, Path | None] = {}
    for root, settings in known.items():
        named = settings or any((place / name).is_file() for place in (root, root / LABELS) for name in NAMES_FILES)
        if named and any(path.is_relative_to(root) for path in texts) and not any(root.is_relative_to(other) for other in chosen):
            chosen[root] = settings
    if not chosen and any(LABELS in path.relative_to(folder).parts[:-1] or folder.name == LABELS for path in texts):
        parent = folder.parent if folder.name == LABELS else folder
        chosen[folder] = settings_in(parent)
    return chosen


def with_whole_paths(annotations: Annotations, path: Path, images: ImageNames) -> Annotations:
    """The annotations with names as whole paths, where the images that they name lie beside the file, as in an export of Roboflow."""
    folder = os.path.abspath(path.parent)
    whole = {name: f"{folder}/{name}" for name in annotations.facts}

    def is_beside(name: str) -> bool:
        depth, fitting = images.candidates(whole[name])
        return len(fitting) == 1 and depth == len(name_parts(whole[name]))

    return replace(annotations, facts={whole[name] if is_beside(name) else name: own for name, own in annotations.facts.items()})


def with_splits_of_names(several: list[Annotations]) -> list[Annotations]:
    """The annotations with the splits that the names of their files say, where these differ and the files say none."""
    splits = [split_of_name(Path(made.source).stem) for made in several]
    if len({*splits} - {None}) < 2 or any(facts.split for made in several for facts in made.facts.values()):
        return several
    for made, split in zip(several, splits):
        if split:
            made.facts = {name: replace(facts, split=split) for name, facts in made.facts.items()}
            made.roles["splits"] = "the names of the annotation files"
    return several


def split_of_name(stem: str) -> str | None:
    """The split that the name of a file says; None where it says none, or several.

    >>> split_of_name("instances_train2017"), split_of_name("_annotations.coco")
    ('train', None)
    """
    splits = {SPLIT_WORDS[word] for word in re.findall("[a-z]+", stem.lower()) if word in SPLIT_WORDS}
    return splits.pop() if len(splits) == 1 else None
