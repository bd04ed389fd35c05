"""Ids of images, no two the same."""

import filecmp
import os
from collections import Counter, defaultdict
from collections.abc import Sequence

from htltools.formats.sources.candidate import readable
from htltools.formats.sources.path_words import neutral_path

COPY = "it is a copy of an image of the same name"
TWICE = "it is given twice"
DEEPEST = 100  # folders in an id


def without_suffix(name: str) -> str:
    """The name without its suffix. Digits after a dot are no suffix: many DICOM files are named by their UID.

    >>> without_suffix("a/b.png"), without_suffix("1.2.840.113")
    ('a/b', '1.2.840.113')
    """
    stem, suffix = os.path.splitext(name)
    return name if suffix[1:].isdecimal() else stem


def distinct_ids(names: Sequence[str], paths: Sequence[str]) -> tuple[list[str | None], dict[int, str]]:
    """The id of each of N images, and why some have none. `names`: relative paths that ids are made of; `paths`: where the images are.

    The id is the name without suffix; with it, where two differ in that alone; and with the folders above, as many as are needed, where
    sources hold files of one name. A file that is given twice, and a copy of another one of that name, have no id.

    >>> distinct_ids(["a.png", "a.jpg", "b.png"], ["/s/a.png", "/s/a.jpg", "/s/b.png"])
    (['a.png', 'a.jpg', 'b'], {})
    >>> distinct_ids(["a.png", "a.png", "a.png"], ["x/a.png", "y/a.png", "./x/a.png"])
    (['x/a', 'y/a', None], {2: 'it is given twice'})
    """
    ids: list[str | None] = [readable(without_suffix(name)).replace(os.sep, "/") for name in names]
    left_out: dict[int, str] = {}
    for same in clashes([os.path.abspath(path) for path in paths]):
        left_out |= dict.fromkeys(same[1:], TWICE)
        for i in same[1:]:
            ids[i] = None
    for same in clashes(ids):
        for place, i in enumerate(same):
            if any(j not in left_out and is_copy(names[i], names[j], paths[i], paths[j]) for j in same[:place]):
                left_out[i], ids[i] = COPY, None
    for same in clashes(ids):
        for i in same:
            ids[i] = readable(names[i]).replace(os.sep, "/")
    depth = 0
    while (again := clashes(ids)) and depth < DEEPEST:
        depth += 1
        for same in again:
            for i in same:
                ids[i] = longer_id(names[i], paths[i], depth)
    return ids, left_out


def copies(relative: Sequence[str], paths: Sequence[str]) -> set[int]:
    """Images that are copies of others, in folders whose names differ in case alone: Kaggle's HAM10000 has each part twice."""
    name = os.path.basename
    often = {name(relative[same[0]]) for same in clashes([name(path) for path in relative])}
    neutral = [neutral_path(path).casefold() if name(path) in often else None for path in relative]
    twice = [same for same in clashes(neutral) if len({relative[i] for i in same}) > 1]
    return {
        i
        for same in twice
        for place, i in enumerate(same)
        if any(is_copy(name(relative[i]), name(relative[j]), paths[i], paths[j]) for j in same[:place])
    }


def second_suffixes(paths: Sequence[str]) -> int:
    """How many stems have two images, such as a.jpg and a.png, where most do; else 0.

    >>> second_suffixes(["a.jpg", "a.png", "b.jpg", "b.png", "c.jpg"]), second_suffixes(["a.jpg", "a.png", "b.jpg"])
    (2, 0)
    """
    stems = Counter(os.path.splitext(path)[0] for path in paths)
    twice = sum(count == 2 for count in stems.values())
    return twice if twice * 2 > len(stems) else 0


def clashes(ids: Sequence[str | None]) -> list[list[int]]:
    """The images of each id that several have."""
    by_id: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(ids):
        if name is not None:
            by_id[name].append(i)
    return [same for same in by_id.values() if len(same) > 1]


def is_copy(name: str, other_name: str, path: str, other: str) -> bool:
    """Whether two files of one name hold the same bytes."""
    try:
        return name == other_name and filecmp.cmp(path, other, shallow=False)
    except OSError:
        return False


def longer_id(name: str, path: str, depth: int) -> str:
    """The name without suffix behind so many of the folders that lie above it; with the suffix from the second time on, where both are
    needed."""
    above = os.path.abspath(path).removesuffix(name).rstrip(os.sep).split(os.sep)
    stem = without_suffix(name) if depth == 1 else name
    return readable("/".join([*above[-depth:], stem]).replace(os.sep, "/"))
