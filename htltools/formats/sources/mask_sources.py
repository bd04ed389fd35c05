"""The mask files of each image: from a folder that was named, or from those that lie with the images."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from htltools.errors import MissingInput
from htltools.formats.sources.candidate import readable
from htltools.formats.sources.layouts import layout_of
from htltools.formats.sources.listing import Listing, is_dicom_image
from htltools.formats.sources.masks import MaskNames, leave_other_kinds
from htltools.formats.sources.names import stem_of
from htltools.formats.sources.walk import walk


@dataclass
class ImageMasks:
    """The masks of N images; `masked`: those whose source has masks at all."""

    of: dict[int, tuple[str, ...]] = field(default_factory=dict)
    masked: set[int] = field(default_factory=set)
    ambiguous: dict[int, str] = field(default_factory=dict)  # why an image is left out, by its number
    without: list[str] = field(default_factory=list)
    dicom: set[str] = field(default_factory=set)
    unused: dict[str, int] = field(default_factory=dict)  # files by folder

    def add(self, listing: Listing, numbers: Sequence[int], paths: Sequence[str], relative: Sequence[str]) -> None:
        """Add the masks of a listing, whose images have these numbers among all, and these paths."""
        if not listing.masks and not listing.owners:
            return
        matches = MaskNames(paths, relative).match(listing.masks, list(listing.masks.values()))
        leave_other_kinds(matches)
        places = {path: place for place, path in enumerate(paths)}
        for mask, image in listing.owners.items():
            if image in places:
                matches.of[places[image]].append(mask)
        dicom = {path for path in (*listing.masks, *listing.owners) if is_dicom_image(path)}
        if listing.beside and not matches.of and not dicom:
            return  # another data set's masks
        self.masked |= set(numbers)
        self.dicom |= dicom
        self.of |= {numbers[place]: tuple(sorted(masks)) for place, masks in matches.of.items() if masks}
        self.without += [path for path in matches.without if path not in dicom and not listing.partial]
        self.unused |= matches.unused
        for mask, fitting in matches.ambiguous.items():
            for place in fitting:
                if not matches.of.get(place):
                    reason = f"the mask {readable(os.path.basename(mask))} fits {len(fitting)} images"
                    self.ambiguous.setdefault(numbers[place], reason)


def take_named_masks(folder: Path, listings: Sequence[Listing]) -> Listing:
    """The masks in a folder that was named, as a listing without images; where it holds images too, these stay images. What is a mask is
    taken from the images of the sources.

    Raises: MissingInput where it holds no masks.
    """
    if not folder.is_dir():
        raise MissingInput(f"the masks {folder} are not there")
    walked = walk(str(folder))
    layout = layout_of(walked.images)
    named = Listing()
    named.add_skips(str(folder), walked)
    files = {os.path.abspath(folder / path): path for path in walked.images}
    images = {os.path.abspath(path) for listing in listings for path in (*listing.paths, *listing.masks, *listing.owners)}
    shared = bool(images & files.keys())
    masks = [path for path in files.values() if path in {*layout.masks, *layout.owners}]
    if shared and images <= files.keys() and not masks:
        masks = masks_by_suffix(walked.images)
    elif not layout.owners and not (layout.masks and shared) or (layout.orphans and not shared):
        masks = walked.images
    if not masks:
        raise MissingInput(f"no masks in {folder}", "its files are the images" if shared else None)
    kept = set(masks)
    named.owners = {str(folder / mask): str(folder / image) for mask, image in layout.owners.items() if mask in kept}
    named.masks = {str(folder / path): path for path in masks if path not in layout.owners or not shared}
    own = {os.path.abspath(path) for path in named.masks} | {os.path.abspath(path) for path in named.owners}
    for listing in listings:
        listing.leave(own)
    if shared:
        whole = {os.path.abspath(path): path for listing in listings for path in listing.paths}
        named.owners = {mask: whole[at] for mask, image in named.owners.items() if (at := os.path.abspath(image)) in whole}
    else:
        named.owners = {}
    return named


def masks_by_suffix(paths: Sequence[str]) -> list[str]:
    """Where each JPEG has another file of its name beside it, these others; else none."""
    stems = {stem_of(path) for path in paths if path.lower().endswith((".jpg", ".jpeg"))}
    others = [path for path in paths if not path.lower().endswith((".jpg", ".jpeg"))]
    return others if stems and {stem_of(path) for path in others} <= stems else []
