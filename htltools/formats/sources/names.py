"""Which image a name means: tables, annotations, masks and predictions name images in many ways.

A name is matched by the end of an image's path. A longer common end decides between images of one file name; what still fits several
images is ambiguous. Nothing depends on the folder one stands in.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qs, unquote, urlsplit

from htltools.formats.dicom.file import DICOM_SUFFIXES
from htltools.formats.images.image import IMAGE_SUFFIXES

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
WHOLE = 1000  # parts that a path from the source counts as: more than any other end
ODD = frozenset("\\:?")  # letters of drives, URLs and paths of Windows
DRIVE = re.compile(r"[A-Za-z]:(?=[\\/])")
FEW = 8  # images of one file name that are compared one by one
SUFFIXES = IMAGE_SUFFIXES | DICOM_SUFFIXES


def name_parts(name: str) -> tuple[str, ...]:
    """The parts of the path that a name holds, in composed Unicode (NFC); of an URL its path, or its query `d`.

    >>> name_parts("./a/b.png"), name_parts("C:\\\\x\\\\b.png"), name_parts("http://h/data/local-files/?d=set/b%20c.png")
    (('a', 'b.png'), ('x', 'b.png'), ('set', 'b c.png'))
    """
    if name.isascii() and ODD.isdisjoint(name):
        parts = tuple(name.split("/"))
        return parts if "" not in parts and "." not in parts else tuple(part for part in parts if part not in ("", "."))
    if URL.match(name) or "?d=" in name:
        url = urlsplit(name)
        name = parse_qs(url.query).get("d", [unquote(url.path)])[0]
    name = unicodedata.normalize("NFC", DRIVE.sub("", name)).replace("\\", "/")
    return tuple(part for part in name.split("/") if part not in ("", "."))


def stem_of(name: str) -> str:
    """A file name without the suffix of an image or of DICOM; other dots stay.

    >>> stem_of("a.PNG"), stem_of("1.2.840.113"), stem_of("v1.2"), stem_of(".png")
    ('a', '1.2.840.113', 'v1.2', '.png')
    """
    stem, dot, suffix = name.rpartition(".")
    return stem if dot + suffix.lower() in SUFFIXES and stem.rpartition("/")[2].strip(".") else name


@dataclass
class Matches:
    """Which names mean which of N images: names by the number of an image, and those that fit several images, or none."""

    names: dict[int, list[str]] = field(default_factory=dict)
    ambiguous: dict[str, list[int]] = field(default_factory=dict)
    unmatched: list[str] = field(default_factory=list)


class ImageNames:
    """N images by their paths, to be found by names. `relative`: paths from the source, which decide where a name is one of them."""

    def __init__(self, paths: Sequence[str], relative: Sequence[str] = ()):
        self.by_relative: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self.tails: dict[int, dict[tuple[str, ...], list[int]]] = {}
        self.folders: set[tuple[str, ...]] = set()
        for i, path in enumerate(relative):
            *folders, last = name_parts(path)
            self.folders |= {tuple(folders)} if folders else set()
            for each in {last, stem_of(last)}:
                self.by_relative[*folders, each].append(i)
        self.parts = [name_parts(path if os.path.isabs(path) and ".." not in path else os.path.abspath(path)) for path in paths]
        self.found: dict[str, tuple[int, list[int]]] = {}
        self.by_name: dict[str, list[int]] = defaultdict(list)
        self.by_stem: dict[str, list[int]] = defaultdict(list)
        for i, parts in enumerate(self.parts):
            self.by_name[parts[-1]].append(i)
            self.by_stem[stem_of(parts[-1])].append(i)

    @cached_property
    def by_folded_stem(self) -> dict[str, list[int]]:
        """The images by their stems without capitals."""
        folded: dict[str, list[int]] = defaultdict(list)
        for stem, images in self.by_stem.items():
            folded[stem.casefold()] += images
        return folded

    def candidates(self, name: str) -> tuple[int, list[int]]:
        """How many parts at the end of the path fit, and the images that fit best: by file name, by stem, then in any case of letters.

        >>> images = ImageNames(["/s/x/a.png", "/s/y/a.png", "/s/b.png"])
        >>> images.candidates("a.png"), images.candidates("y/a"), images.candidates("/elsewhere/B.jpg"), images.candidates("c")
        ((1, [0, 1]), (2, [1]), (1, [2]), (0, []))
        >>> ImageNames(["/s/a.png", "/s/y/a.png"], ["a.png", "y/a.png"]).candidates("a.png")
        (1000, [0])
        >>> ImageNames(["/s/a.png", "/s/y/b.png"], ["a.png", "y/b.png"]).candidates("y/a.png")
        (0, [])
        """
        found = self.found.get(name)
        if found is None:
            found = self.found[name] = self.fitting(name_parts(name))
        return found

    def fitting(self, parts: tuple[str, ...]) -> tuple[int, list[int]]:
        """As `candidates`, by the parts of a name."""
        if not parts:
            return 0, []
        if parts in self.by_relative:
            return WHOLE, self.by_relative[parts]
        fitting = self.by_name.get(parts[-1])
        if not fitting:
            stem = stem_of(parts[-1])
            fitting = self.by_stem.get(stem) or self.by_folded_stem.get(stem.casefold()) or []
        deepest, fitting = self.deepest(parts, fitting) if fitting else (0, [])
        if deepest == 1 and parts[:-1] in self.folders:  # which holds images, but not this one
            return 0, []
        return deepest, fitting

    def deepest(self, parts: tuple[str, ...], fitting: list[int]) -> tuple[int, list[int]]:
        """Of images whose file name fits, those of which the most folders fit too, and how many parts that are."""
        if len(fitting) == 1:
            return self.depth(parts, fitting[0]), fitting
        if len(fitting) <= FEW:
            depths = [self.depth(parts, i) for i in fitting]
            return max(depths), [i for i, depth in zip(fitting, depths) if depth == max(depths)]
        if id(fitting) not in self.tails:  # lists in the three dictionaries, which stay
            tails = self.tails[id(fitting)] = defaultdict(list)
            for i in fitting:
                folders = self.parts[i][-2::-1]
                for depth in range(1, len(folders) + 1):
                    tails[folders[:depth]].append(i)
        folders, depth = parts[-2::-1], 0
        while depth < len(folders) and folders[: depth + 1] in self.tails[id(fitting)]:
            depth += 1
        return depth + 1, self.tails[id(fitting)][folders[:depth]] if depth else fitting

    def depth(self, parts: tuple[str, ...], i: int) -> int:
        """How many parts at the end of an image's path are those of a name, the file name counted as one."""
        depth = 1
        for one, other in zip(reversed(parts[:-1]), reversed(self.parts[i][:-1])):
            if one != other:
                break
            depth += 1
        return depth

    def match(self, names: Iterable[str]) -> Matches:
        """All names matched at once: where several fit one image, those that fit a longer end of its path have it.

        >>> ImageNames(["/s/val/a.png"]).match(["train/a.png", "val/a.png"]).names
        {0: ['val/a.png']}
        """
        matches, depths = Matches(), {}
        for name in names:
            depth, fitting = self.candidates(name)
            if len(fitting) > 1:
                matches.ambiguous[name] = fitting
            elif fitting:
                matches.names.setdefault(fitting[0], []).append(name)
                depths[name] = depth
            else:
                matches.unmatched.append(name)
        several = {i: own for i, own in matches.names.items() if len(own) > 1}
        for i, own in several.items():
            deepest = max(depths[name] for name in own)
            matches.unmatched += [name for name in own if depths[name] < deepest]
            matches.names[i] = [name for name in own if depths[name] == deepest]
        return matches

    def count(self, names: Iterable[str]) -> int:
        """How many of the names mean one image each."""
        return sum(len(self.candidates(name)[1]) == 1 for name in names)
