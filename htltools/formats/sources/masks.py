"""Which image each mask file belongs to, by its name."""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from htltools.formats.sources.names import ImageNames, stem_of
from htltools.formats.sources.path_words import (
    image_names,
    is_mask_folder,
    mentions_masks,
    neutral_bases,
    neutral_folder,
    neutral_path,
)

WORDS = "_", "-", " ", "."  # what parts words of a file name
FIRST_CHANNEL = "_0000"  # which nnU-Net adds to the names of images, and not to those of masks


@dataclass
class MaskMatches:
    """Mask files by the number of their image; those that fit several images, and those that fit none."""

    of: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    ambiguous: dict[str, list[int]] = field(default_factory=dict)
    without: list[str] = field(default_factory=list)
    unused: dict[str, int] = field(default_factory=dict)  # files by folder, where another folder of masks was taken instead


class MaskNames:
    """N images by the names that their masks may have. `paths`: where they are; `relative`: the same from the source."""

    def __init__(self, paths: Sequence[str], relative: Sequence[str]):
        self.names = ImageNames(paths, [neutral_path(path) for path in relative])
        self.short: dict[str, list[int]] = defaultdict(list)
        self.stems: dict[str, list[int]] = defaultdict(list)
        self.begun: dict[str, set[str]] = defaultdict(set)  # longer stems by each beginning that ends before a separator
        self.channels: dict[str, list[int]] = defaultdict(list)  # by stems without FIRST_CHANNEL
        for i, path in enumerate(relative):
            *_, short = image_names(path)
            self.short[short.casefold()].append(i)
            stem = stem_of(os.path.basename(path)).casefold()
            self.stems[stem].append(i)
            if stem.endswith(FIRST_CHANNEL):
                self.channels[stem.removesuffix(FIRST_CHANNEL)].append(i)
            for start in beginnings(stem):
                self.begun[start].add(stem)

    def candidates(self, path: str) -> tuple[int, list[int]]:
        """How well the best names fit the image of a mask, and the images that they fit: by its own name, by the name without an ending
        such as _mask, by the number in `image_1` and `mask_1`, by that of an image of nnU-Net, and by the image whose name it begins with.

        >>> names = MaskNames(["/s/a.png", "/s/b_1.png", "/s/b.png", "/s/img_7.png"], ["a.png", "b_1.png", "b.png", "img_7.png"])
        >>> [names.candidates(mask)[1] for mask in ("a_mask_1.png", "a_attribute_streaks.png", "b_2.png", "mask_7.png")]
        [[0], [0], [], [3]]
        >>> MaskNames(["/s/case_001_0000.png"], ["case_001_0000.png"]).candidates("case_001.png")
        (1, [0])
        """
        bases = neutral_bases(path)
        for base in bases:
            depth, fitting = self.names.candidates(base)
            if fitting:
                return depth, fitting
        for base in bases[1:]:
            if fitting := self.short.get(base.casefold(), []):
                return 1, fitting
        stem = stem_of(os.path.basename(path)).casefold()
        if stem in self.channels:
            return 1, self.channels[stem]
        for start in beginnings(stem):
            if start in self.stems:
                if self.begun.get(start):  # one of a series, which this is another of
                    return 0, []
                return self.names.candidates(neutral_folder(os.path.dirname(path)) + start)
        return 0, []

    def match(self, masks: Iterable[str], places: Sequence[str] | None = None) -> MaskMatches:
        """The image of each mask; `places`: the paths by which they are matched, where these are others than where they are. Where
        several fit one image, those that fit a longer end of its path have it."""
        matches, depths = MaskMatches(), {}
        masks = list(masks)
        for mask, place in zip(masks, places or masks, strict=True):
            depth, fitting = self.candidates(place)
            if len(fitting) > 1:
                matches.ambiguous[mask] = fitting
            elif fitting:
                matches.of[fitting[0]].append(mask)
                depths[mask] = depth
            else:
                matches.without.append(mask)
        for i, own in matches.of.items():
            deepest = max(depths[mask] for mask in own)
            matches.without += [mask for mask in own if depths[mask] < deepest]
            matches.of[i] = [mask for mask in own if depths[mask] == deepest]
        return matches


def beginnings(stem: str) -> list[str]:
    """The beginnings of a stem that end before a separator, the longest first.

    >>> beginnings("a_b-1")
    ['a_b', 'a']
    """
    return [stem[:i] for i in range(len(stem) - 1, 0, -1) if stem[i] in WORDS]


def leave_other_kinds(matches: MaskMatches) -> None:
    """Of folders of masks that stand side by side and have masks of the same images, keep the one with the fewest of each image.

    ISIC 2018 has one mask of the lesion (task 1) and five of its attributes (task 2).
    """
    folders: dict[str, list[int]] = defaultdict(list)
    for i, masks in matches.of.items():
        for mask in masks:
            folders[mask_root(os.path.dirname(mask))].append(i)
    kept: list[set[int]] = []
    left = set()
    for folder, images in sorted(folders.items(), key=lambda each: (len(each[1]) / len(set(each[1])), each[0])):
        if any(not images_of.isdisjoint(images) for images_of in kept):
            left.add(folder)
            matches.unused[folder] = len(images)
        else:
            kept.append(set(images))
    for i, masks in matches.of.items() if left else ():
        matches.of[i] = [mask for mask in masks if mask_root(os.path.dirname(mask)) not in left]


@lru_cache(2**14)
def mask_root(folder: str) -> str:
    """The outermost folder of masks of those that a folder lies in, itself among them."""
    parts = folder.split(os.sep)
    depth = next((i for i, name in enumerate(parts) if is_mask_folder(name) or mentions_masks(name)), len(parts) - 1)
    return os.sep.join(parts[: depth + 1])
