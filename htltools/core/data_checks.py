"""Quality checks of usable samples: duplicate images, boxes of everything or nothing, impossible ages, words in several spellings."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

FAINT, MIDDLE = 16, (0.02, 0.98)  # grey levels, of 256, that the pixels between these quantiles span at least
FEW, MANY, CORNER = 3, 20, 0.6  # boxes that tell a convention; boxes in a corner, and the share of the sides that it is
EVERYTHING = 0.99  # share of the image from which on a box covers all of it
AGE = re.compile(r"(.*[_ ])?age([_ ].*)?", re.IGNORECASE)


class Issue(NamedTuple):
    """What looks wrong in one sample: `kind` is the same for all issues of a kind, `reason` names the values of this one."""

    id: str
    kind: str
    reason: str


def same_images(ids: Sequence[str], splits: Sequence[str], digests: np.ndarray) -> list[Issue]:
    """Samples whose image is that of an earlier one, by digests of N images: uint64 [N].

    >>> [issue.reason for issue in same_images("abc", ["train", "test", "train"], np.array([7, 7, 5], np.uint64))]
    ['the same pixels as a, which stands in another split (train, this one in test)']
    """
    values, firsts, which = np.unique(digests, return_index=True, return_inverse=True)
    issues = []
    for i in np.flatnonzero(firsts[which] != np.arange(len(digests))).tolist() if len(values) < len(digests) else ():
        first = int(firsts[which[i]])
        if splits[i] == splits[first]:
            issues.append(Issue(ids[i], "the same pixels under two ids", f"the same pixels as {ids[first]}"))
        else:
            where = f"which stands in another split ({splits[first]}, this one in {splits[i]})"
            issues.append(Issue(ids[i], "the same pixels in two splits", f"the same pixels as {ids[first]}, {where}"))
    return issues


def odd_contrast(name: str, image: np.ndarray) -> list[Issue]:
    """Whether an image uint8 [H, W, C] shows nothing: one value, or nearly the same values everywhere in each channel.

    >>> odd_contrast("a", np.zeros((2, 2, 3), np.uint8))[0].reason
    'all pixels are [0, 0, 0]'
    """
    if has_clear_contrast(image):
        return []
    first = image[0, 0]
    if (image == first).all():
        return [Issue(name, "an image of one value", f"all pixels are {first.tolist()}")]
    spans = []
    for channel in np.moveaxis(image, -1, 0)[::-1]:
        counts = np.bincount(channel.ravel(), minlength=256)
        middle = counts[1:-1]  # without what is black or white, such as padding and letters
        spans.append(min(levels_spanned(counts), levels_spanned(middle) if middle.sum() * 2 >= channel.size else 256))
        if spans[-1] >= FAINT:
            return []
    reason = f"96% of its pixels, or of those neither black nor white, are within {max(spans)} of 256 grey levels"
    return [Issue(name, "an image of next to no contrast", reason)]


def has_clear_contrast(image: np.ndarray) -> bool:
    """Whether the last channel of an image uint8 [H, W, C] shows by a few of its pixels, and by counting all, that it has contrast.

    It takes a ninth of the time of the histograms (256 x 256). Two levels are guessed, FAINT or more apart. Where more than a share of all
    pixels are at or below the one, and not black, and as many at or above the other, and not white, the quantiles MIDDLE lie outside of
    them, with black and white and without. False says nothing.
    """
    channel = np.ascontiguousarray(image[..., -1]).ravel()
    some = channel[:: max(channel.size // 256, 1)]
    some = np.sort(some[(some > 0) & (some < 255)])
    if len(some) < 32:
        return False
    low, high = int(some[len(some) // 8]), int(some[-len(some) // 8])
    enough = 1.5 * MIDDLE[0] * channel.size
    dark = np.count_nonzero(channel <= low) - np.count_nonzero(channel == 0)
    bright = np.count_nonzero(channel >= high) - np.count_nonzero(channel == 255)
    return bool(high - low >= FAINT and min(dark, bright) > enough)


def levels_spanned(counts: np.ndarray) -> int:
    """How many levels lie between the quantiles MIDDLE of pixels, of which so many have each level."""
    low, high = np.searchsorted(np.cumsum(counts), np.multiply(MIDDLE, counts.sum()))
    return int(high - low) + 1


def odd_boxes(name: str, boxes: Sequence[Sequence[float]], size: tuple[int, int], frame: tuple[int, int]) -> list[Issue]:
    """The first box [x0, y0, x1, y1] of an image (width, height) that covers all of it, or less than a pixel of its stored frame (H, W).

    >>> odd_boxes("a", [[0, 0, 600, 450]], (600, 450), (96, 96))
    [Issue(id='a', kind='a box covers everything', reason='the box [0, 0, 600, 450] covers the whole image of 600x450')]
    """
    width, height = size
    for box in boxes:
        x0, y0, x1, y1 = box
        if min(box) >= 0 and max(box) <= 1 < min(size):
            reason = f"the box {list(box)} lies within one pixel of {width}x{height}: are these shares of the sides?"
            return [Issue(name, "a box looks like shares of the sides, not pixels", reason)]
        across, down = min(x1, width) - max(x0, 0), min(y1, height) - max(y0, 0)
        if across * down >= EVERYTHING * width * height:
            reason = f"the box {list(box)} covers {'the whole' if across * down == width * height else 'nearly the whole'} image"
            return [Issue(name, "a box covers everything", f"{reason} of {width}x{height}")]
        if across * frame[1] < width or down * frame[0] < height:
            return [Issue(name, "a box covers next to nothing", f"the box {list(box)} is thinner than a stored pixel of {width}x{height}")]
    return []


def odd_conventions(ids: Sequence[str], boxes: np.ndarray, sizes: np.ndarray) -> list[Issue]:
    """What all boxes [B, 4] of a data set share and should not, by the images [B, 2] (width, height) that they lie in: at most one issue.

    Edges that count their last pixel, or start at 1; or boxes that lie all in the upper left, as those of smaller images would.
    """
    near, far = boxes[:, :2], sizes - boxes[:, 2:]
    for odd, kind, reason in (
        ((far == 1) & ~(far == 0).any(), "boxes may count their last pixel: no edge lies at the border", "one pixel before the border"),
        ((near == 1) & ~(near == 0).any() & (far == 0).any(), "boxes may be counted from 1: no edge lies at 0", "at 1"),
    ):
        if (count := np.count_nonzero(odd.any(1))) >= FEW:
            return [Issue(ids[int(odd.any(1).argmax())], kind, f"{count} boxes of the data set have an edge {reason}, and none at it")]
    if len(boxes) >= MANY and (boxes[:, 2:] <= CORNER * sizes).all():
        return [
            Issue(ids[0], "all boxes lie in the upper left of their images: are they those of smaller ones?", f"as all {len(boxes)} boxes")
        ]
    return []


def odd_ranges(ids: Sequence[str], ranges: Sequence[str]) -> list[Issue]:
    """Grey images whose black and white are other values than those of most: the same value is darker or brighter in them. Where there is
    no range of most, at most one issue.

    >>> [issue.reason for issue in odd_ranges("abc", ["range 0 to 4095", "range 0 to 1023", "range 0 to 4095"])]
    ['read with the range 0 to 1023, most others with the range 0 to 4095']
    >>> [issue.reason for issue in odd_ranges("ab", ["range -9 to 7", "range -8 to 9"])]
    ['2 ranges of 2 images: each is scaled by its own values']
    """
    kind = "grey images of more than 8 bits are read with different ranges"
    counts = Counter(ranges)
    usual = max(sorted(counts), key=lambda each: counts[each], default="")
    if len(counts) > 1 and counts[usual] * 2 <= len(ranges):
        return [Issue(ids[0], kind, f"{len(counts)} ranges of {len(ranges)} images: each is scaled by its own values")]
    odd = [(name, own) for name, own in zip(ids, ranges, strict=True) if own != usual]
    return [Issue(name, kind, f"read with the {own}, most others with the {usual}") for name, own in odd]


def odd_ages(name: str, meta: Mapping[str, Any]) -> list[Issue]:
    """Columns of age whose value is no age of a living patient: 0 mostly means unknown.

    >>> [issue.reason for issue in odd_ages("a", {"age": 0, "age_approx": 45, "stage": 0})]
    ['age is 0']
    """
    columns = [column for column, value in meta.items() if isinstance(value, (int, float)) and AGE.fullmatch(column)]
    kinds = {column: f"{column} is 0" if meta[column] == 0 else f"{column} is below 0 or above 120" for column in columns}
    return [Issue(name, kinds[column], f"{column} is {meta[column]}") for column in columns if not 0 < meta[column] <= 120]


def spellings(ids: Sequence[str], metadata: Iterable[Mapping[str, Any]]) -> list[Issue]:
    """Words of N samples, by column, that occur elsewhere in their column with other capitals, blanks, hyphens or underscores.

    The most frequent spelling counts as right.

    >>> [issue.reason for issue in spellings("abc", [{"sex": "male"}, {"sex": "Male "}, {"sex": "male"}])]
    ["sex is 'Male ', elsewhere 'male'"]
    """
    metadata = list(metadata)
    counts = Counter((column, value) for own in metadata for column, value in own.items() if isinstance(value, str))
    usual: dict[tuple[str, str], str] = {}
    for (column, value), _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])):
        usual.setdefault((column, plain_word(value)), value)
    rare = {(column, value): usual[column, plain_word(value)] for column, value in counts if usual[column, plain_word(value)] != value}
    return [
        Issue(name, f"{column} has one value under several spellings", f"{column} is {value!r}, elsewhere {rare[column, value]!r}")
        for name, own in zip(ids, metadata, strict=True)
        for column, value in (own.items() if rare else ())
        if isinstance(value, str) and (column, value) in rare
    ]


def plain_word(word: str) -> str:
    """A word in lower case, with one blank for any blanks, hyphens and underscores.

    >>> plain_word("Lower_Extremity ")
    'lower extremity'
    """
    return " ".join(re.split(r"[\s_-]+", unicodedata.normalize("NFKC", word).casefold().strip()))
