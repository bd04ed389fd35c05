"""The images of one source, be it a folder, a file or a list of paths, and the masks that lie with them."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from htltools.errors import MissingInput, UsageError
from htltools.formats.dicom.file import is_dicom
from htltools.formats.remote.cache import local_folder, local_path, objects_below
from htltools.formats.sources.candidate import readable
from htltools.formats.sources.ids import TWICE, without_suffix
from htltools.formats.sources.layouts import Layout, layout_of
from htltools.formats.sources.path_words import is_image_folder, is_mask_folder, mentions_images, mentions_masks
from htltools.formats.sources.walk import Walk, has_suffix, unread_kind, walk

QUOTES = "'\""
OTHER_KIND = "images of its kind are not read"


@dataclass
class Listing:
    """The images of a source: `paths` as they are opened; `names` from which ids are made, and `relative`, both relative paths.

    folder: what tables and annotation files may lie in. own: the name of the folder, where it is a source of its own. masks: files in
    folders of masks, with the relative paths by which they are matched. owners: the image of each mask that has one for certain.
    """

    paths: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    relative: list[str] = field(default_factory=list)
    folder: Path | None = None
    root: str = ""  # the folder that was named; empty: its files were named one by one
    own: str = ""
    masks: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    beside: bool = False  # whether the masks are from outside the source
    partial: bool = False  # whether the images were named one by one, so that masks of others are no surprise
    unused: dict[str, int] = field(default_factory=dict)  # files by folder
    kinds: list[str] = field(default_factory=list)
    skips: list[dict[str, str]] = field(default_factory=list)
    other_kinds: Counter[str] = field(default_factory=Counter)  # images that are not read, by suffix

    def add(self, root: str, layout: Layout) -> None:
        """Add the files of a layout whose paths are relative to `root`; "" for the folder that one stands in."""
        self.paths += [os.path.join(root, path) for path in layout.images]
        start = len(layout.base) + 1 if layout.base else 0
        self.names += [path[start:] for path in layout.images]
        self.relative += layout.images
        self.masks |= {os.path.join(root, path): path for path in layout.masks}
        self.owners |= {os.path.join(root, mask): os.path.join(root, image) for mask, image in layout.owners.items()}
        self.unused |= {os.path.join(root, folder): count for folder, count in layout.unused.items()}
        self.kinds += layout.kinds

    def leave(self, masks: set[str]) -> None:
        """Leave out images that are masks, given as absolute paths, and the masks that lie with the images."""
        folders = {os.path.dirname(path) for path in masks}
        self.unused = {folder: count for folder, count in self.unused.items() if os.path.abspath(folder) not in folders}
        kept = [i for i, path in enumerate(self.paths) if os.path.abspath(path) not in masks]
        self.paths, self.names, self.relative = ([own[i] for i in kept] for own in (self.paths, self.names, self.relative))
        self.masks, self.owners = {}, {}

    def add_skips(self, root: str, walked: Walk) -> None:
        """Add what a walk passed over."""
        for path, reason in walked.unreadable.items():
            self.skips.append({"id": readable(path or "."), "source": readable(os.path.join(root, path)), "reason": reason})
        for path, kind in walked.other_images.items():
            self.add_other_kind(path, os.path.join(root, path), kind)

    def add_other_kind(self, name: str, path: str, kind: str) -> None:
        """Add an image of a kind that is not read."""
        self.skips.append({"id": readable(name), "source": readable(path), "reason": OTHER_KIND})
        self.other_kinds[kind] += 1


def folder_listing(folder: Path, *, look_beside: bool) -> Listing:
    """The images of a folder; `look_beside`: whether masks may lie in a folder beside it, where it is one of images alone."""
    root = str(folder) if str(folder) != "." else ""
    walked = walk(str(folder))
    layout = layout_of(walked.images)
    listing = Listing(folder=folder, root=str(folder), own=os.path.basename(os.path.abspath(folder)))
    listing.add_skips(root, walked)
    above = Path(os.path.abspath(folder)).parent
    if look_beside and not layout.masks and not layout.owners and mentions_images(listing.own) and (masks := masks_beside(above)):
        both = layout_of([os.path.join(listing.own, path) for path in walked.images] + masks, alone=listing.own)
        layout.masks, layout.owners = both.masks, {}
        listing.beside = True
    listing.add(root, layout)
    if listing.beside:
        listing.masks = {os.path.join(os.path.relpath(above), path): path for path in both.masks}
    if listing.beside or is_image_folder(listing.own):
        listing.folder = folder if (folder / "metadata.csv").is_file() else above if is_image_folder(listing.own) else folder
    return listing


def copied_source(address: str, *, look_beside: bool) -> Path:
    """The copy of a source in object storage; `look_beside`: with the tables and the masks beside a folder of images alone.

    Raises: as `local_path`; UsageError where it is a file, beside which nothing would be found.
    """
    if objects_below(address) is None:
        if look_beside:
            raise UsageError(f"{address} is a file", "prepare takes folders of object storage; choose with --limit or a table")
        return local_path(address)
    above, _, own = address.rpartition("/")
    if look_beside and mentions_images(own) and above.count("/") > 2:
        local_folder(above, lambda name: "/" not in name or mentions_masks(name.partition("/")[0]))
    return local_folder(address)


def masks_beside(above: Path) -> list[str]:
    """The files in folders of masks below a folder, as paths relative to it."""
    try:
        with os.scandir(above) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []
    plain = [name for name in names if is_mask_folder(name)]
    names = plain or [name for name in names if mentions_masks(name) and not mentions_images(name)]
    return [os.path.join(name, path) for name in names for path in walk(str(above / name)).images]


def files_listing(paths: Sequence[str], *, look_beside: bool) -> Listing:
    """Images named one by one. Masks among them are known by their names; what else would be left out of a folder is an image here."""
    listing = Listing(partial=True)
    if not paths:
        return listing
    absolute: dict[str, str] = {}
    for path in paths:
        if kind := unread_kind(path):
            listing.add_other_kind(without_suffix(os.path.basename(path)), path, kind)
        elif absolute.setdefault(os.path.abspath(path), path) is not path:
            listing.skips.append({"id": readable(without_suffix(os.path.basename(path))), "source": readable(path), "reason": TWICE})
    if not absolute:
        return listing
    root = os.path.commonpath([os.path.dirname(path) for path in absolute])
    layout = layout_of([os.path.relpath(path, root) for path in absolute])
    layout.images = [path for path in (os.path.relpath(path, root) for path in absolute) if path not in {*layout.masks, *layout.owners}]
    layout.unused.clear()
    listing.add(root, layout)
    listing.paths = [absolute[path] for path in listing.paths]
    listing.names = [os.path.basename(path) for path in listing.paths]
    own, above = os.path.basename(root), Path(root).parent
    if look_beside and not listing.masks and not listing.owners and mentions_images(own) and (masks := masks_beside(above)):
        both = layout_of([os.path.join(own, path) for path in listing.relative] + masks, alone=own)
        listing.masks = {os.path.join(os.path.relpath(above), path): path for path in both.masks}
        listing.beside = True
        listing.folder = above if is_image_folder(own) else None
    return listing


def listed_paths(lines: Iterable[str]) -> tuple[list[str], list[dict[str, str]]]:
    """The paths of a list, one a line, that are there, and the others with their reason. Quotes around a line and blanks at its ends are
    part of the name only where there is such a file.

    Raises: MissingInput where the list names files, and none of them is there.
    """
    paths, skips = [], []
    for line in lines:
        line = line.rstrip("\r\n")
        if not line.strip():
            continue
        path = listed_path(line)
        reason = "it is a folder: name it as a source" if os.path.isdir(path) else None if os.path.lexists(path) else "it is not there"
        if reason:
            skips.append({"id": readable(without_suffix(os.path.basename(path)) or path), "source": readable(path), "reason": reason})
        else:
            paths.append(path)
    if skips and not paths and all(skip["reason"] == "it is not there" for skip in skips):
        raise MissingInput(f"none of the {len(skips)} files listed is there", f"the first is {skips[0]['source']}")
    return paths, skips


def listed_path(line: str) -> str:
    """The path that a line names.

    >>> listed_path('"no such/a b.png"'), listed_path("  no such/a.png")
    ('no such/a b.png', 'no such/a.png')
    """
    trimmed = line.strip().removeprefix("\ufeff")
    plain = trimmed[1:-1] if len(trimmed) > 1 and trimmed[0] in QUOTES and trimmed[-1] == trimmed[0] else trimmed
    return next((path for path in (line, trimmed, plain) if os.path.lexists(path)), plain)


def is_dicom_image(path: str) -> bool:
    """Whether a file is to be read as DICOM."""
    return not has_suffix(path) and is_dicom(path)
