"""Which files of a source are images and which are masks, by the names of folders and files."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from htltools.formats.sources.names import stem_of
from htltools.formats.sources.path_words import (
    MASK_ALONE,
    UNUSED_ENDING,
    is_image_folder,
    is_mask_folder,
    mask_bases,
    mentions_images,
    mentions_masks,
    neutral_bases,
    neutral_path,
    without_kind,
    words_of,
)


@dataclass
class Layout:
    """The files of a source by their use, as paths relative to it.

    base: the folder that ids are relative to. masks: those in folders of masks, to be matched by name. owners: the image of a mask that
    stands beside it, or is in its folder. unused: files that are neither, counted by folder. kinds: the layouts recognised.
    """

    base: str = ""
    images: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    unused: Counter[str] = field(default_factory=Counter)
    kinds: list[str] = field(default_factory=list)
    orphans: int = 0  # of `masks`, those that stand among images and are called as masks, but have no image beside them


@dataclass
class Folders:
    """Folders of a source by what the names of their neighbours say of them, as relative paths."""

    base: str = ""
    masks: set[str] = field(default_factory=set)
    unused: set[str] = field(default_factory=set)  # of files anywhere below
    own_unused: set[str] = field(default_factory=set)  # of files that lie in the folder itself


def layout_of(paths: Sequence[str], alone: str | None = None) -> Layout:
    """The layout of the images at these relative paths. `alone`: the one folder that was named as the source, of which the rest is the
    folder above: other images do not count.

    >>> layout = layout_of(["images/a.png", "Masks/a_1.png", "old/a.png"])
    >>> layout.base, layout.images, layout.masks, dict(layout.unused)
    ('images', ['images/a.png'], ['Masks/a_1.png'], {'old': 1})
    >>> layout_of(["benign (1).png", "benign (1)_mask.png", "benign (1)_mask_1.png"]).owners
    {'benign (1)_mask.png': 'benign (1).png', 'benign (1)_mask_1.png': 'benign (1).png'}
    """
    children = children_of(paths)
    folders = kinds_of_folders(children, alone)
    layout = Layout(base=folders.base)
    kinds: dict[str, str] = {}
    for path in paths:
        folder = os.path.dirname(path)
        kind = kinds.get(folder) or kinds.setdefault(folder, kind_of(folder, folders))
        if kind == "mask":
            layout.masks.append(path)
        elif kind == "unused" or UNUSED_ENDING.fullmatch(stem_of(os.path.basename(path))):
            layout.unused[folder] += 1
        else:
            layout.images.append(path)
    move_plain_folders(layout)
    move_neighbours(layout)
    own_folders(layout, children)
    if alone:
        layout.images = [path for path in layout.images if path.startswith(alone + os.sep)]
        layout.base = alone
    layout.kinds += ["folders of masks"] * bool(layout.masks) + [f"images in {layout.base}"] * bool(layout.base)
    return layout


def children_of(paths: Iterable[str]) -> dict[str, set[str]]:
    """The folders in each folder that holds images, as relative paths; "" for the source."""
    children: dict[str, set[str]] = defaultdict(set)
    for folder in {os.path.dirname(path) for path in paths}:
        while folder:
            above = os.path.dirname(folder)
            children[above].add(folder)
            folder = above
    return children


def kinds_of_folders(children: dict[str, set[str]], alone: str | None) -> Folders:
    """Folders of masks, of images, and those beside them that are neither."""
    folders = Folders()
    for above, below in children.items():
        names = {path: os.path.basename(path) for path in sorted(below)}
        images = [path for path, name in names.items() if is_image_folder(name)]
        images = [path for path in images if not names[path].lower().startswith("original")] or images
        masks = [path for path, name in names.items() if is_mask_folder(name)]
        if images:
            masks = masks or [path for path, name in names.items() if mentions_masks(name) and not any(map(str.isdigit, name))]
            if not masks and (above or names[images[0]].lower().startswith("original")):
                continue
        else:
            others = masks or [path for path, name in names.items() if mentions_masks(name)]
            residues = {" ".join(words_of(without_kind(names[path]))) for path in others}
            images = [
                path
                for path, name in names.items()
                if path not in others and (mentions_images(name) or " ".join(words_of(name)) in residues)
            ]
            masks = others if images else [path for path in masks if names[path] == "masks"]
        masks = [path for path in masks if path not in images and path != alone]
        folders.masks |= set(masks)
        if images:
            folders.unused |= below - set(images) - set(masks) - {alone}
            folders.own_unused |= {above} if all(is_image_folder(names[path]) for path in images) else set()
        if not above and len(images) == 1 and is_image_folder(names[images[0]]):
            folders.base = images[0]
    return folders


def kind_of(folder: str, folders: Folders) -> str:
    """Whether the files of a folder are a "mask", an "image", or "unused"."""
    if folder in folders.own_unused:
        return "unused"
    while folder:
        if folder in folders.masks:
            return "mask"
        if folder in folders.unused:
            return "unused"
        folder = os.path.dirname(folder)
    return "image"


def move_plain_folders(layout: Layout) -> None:
    """Make masks of the images in folders such as `gt`, without a folder of images beside them, where half of them name another image."""
    suspects: dict[str, list[str]] = defaultdict(list)
    for path in layout.images:
        folder = next((part for part in ancestors(path) if is_mask_folder(os.path.basename(part))), None)
        if folder is not None:
            suspects[folder].append(path)
    if not suspects:
        return
    taken = {path for paths in suspects.values() for path in paths}
    keys = {neutral_path(path) for path in layout.images if path not in taken}
    for paths in suspects.values():
        named = sum(any(key in keys for key in neutral_bases(path)) for path in paths)
        if named * 2 >= len(paths):
            layout.masks += paths
    moved = set(layout.masks)
    layout.images = [path for path in layout.images if path not in moved]


def move_neighbours(layout: Layout) -> None:
    """Make masks of the files that are called as an image beside them with an ending such as _mask or _mask_1."""
    by_folder: dict[str, dict[str, str]] = defaultdict(dict)
    for path in layout.images:
        by_folder[os.path.dirname(path)].setdefault(stem_of(os.path.basename(path)).casefold(), path)
    orphans = []
    for path in layout.images:
        stems = by_folder[os.path.dirname(path)]
        stem = stem_of(os.path.basename(path))
        alone = MASK_ALONE.fullmatch(stem)
        others = [other for name, other in stems.items() if not MASK_ALONE.fullmatch(name)] if alone else []
        if len(others) == 1:
            layout.owners[path] = others[0]
        elif len(bases := mask_bases(stem)) > 1:
            owner = next((stems[base.casefold()] for base in bases[1:] if base.casefold() in stems), None)
            owner = owner or owner_by_word(bases[1:], stems)
            if owner and owner != path:
                layout.owners[path] = owner
            elif "mask" in stem.lower() or "segmentation" in stem.lower():
                orphans.append(path)
    for path, owner in layout.owners.items():  # of a_mask_1 beside a_mask and a, the image is a
        layout.owners[path] = layout.owners.get(owner, owner)
    if layout.owners:
        layout.kinds.append("masks beside images")
        layout.masks += orphans
        layout.orphans = len(orphans)
        layout.images = sorted(set(layout.images) - set(layout.owners) - set(orphans))


def owner_by_word(bases: Sequence[str], stems: dict[str, str]) -> str | None:
    """The image called image_1 or 1_image where the mask is mask_1 or 1_mask; None where there is none, or several."""
    owners = {path for word in ("image", "img", "im", "original") for base in bases for sep in ("_", "-", " ", "")
              for name in (f"{word}{sep}{base}", f"{base}{sep}{word}") if (path := stems.get(name.casefold()))}  # fmt: skip
    return owners.pop() if len(owners) == 1 else None


def own_folders(layout: Layout, children: dict[str, set[str]]) -> None:
    """Where each image has a folder of its own, with its masks in another below it, these are its masks whatever they are called."""
    images: dict[str, list[str]] = defaultdict(list)
    for path in layout.images:
        for folder in ancestors(path):
            images[folder].append(path)
    own: dict[str, str] = {}
    for path in layout.masks:
        folder = next((os.path.dirname(part) for part in ancestors(path) if is_mask_part(os.path.basename(part))), "")
        if folder and len(images[folder]) == 1:
            own[path] = images[folder][0]
    if len(set(own.values())) > 1:
        layout.owners |= own
        layout.masks = [path for path in layout.masks if path not in own]
        layout.kinds.append("a folder for each image")


def is_mask_part(name: str) -> bool:
    """Whether a folder's name speaks of masks at all."""
    return is_mask_folder(name) or mentions_masks(name)


def ancestors(path: str) -> list[str]:
    """The folders that a relative path lies in, the outermost first."""
    parts = path.split(os.sep)[:-1]
    return [os.sep.join(parts[:depth]) for depth in range(1, len(parts) + 1)]
