"""Mask files as the objects that they mark: of one value, of several (label maps), by colour, by transparency, black on white.

What cannot be known for sure is told as a doubt: a kind, the same for all masks, and a reason with the values of this one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from htltools.formats.images.deep_grey import deep_values, is_deep
from htltools.formats.images.image import APPLIED, TURNS, Doubt, decoding, over_black, turn_of

VOID = 255  # of a label map: not to be used
SMALL = 50  # values up to here are labels, not grey levels
STRAY = 4  # pixels that a label needs beside others
SOLID = 0.5  # share of the pixels of a label that stand in squares of 2 x 2: those of an edge between two labels do not
ODD = 0.1  # share of the marked pixels that may have other values in a label map
EXTREME = 0.1  # share of the maximum within which the noise of a compressed mask lies, from either end
FRAMED = 0.99  # share of the border that is marked in a mask that is black on white
GREY = 0.2  # share of the pixels between black and white in what looks like no mask

INVERTED = "a mask is marked all around its border, and read as black on white"


@dataclass
class Objects:
    """Marked objects. labels: whole numbers [h, w], 0 where none is, else the number of an object, from 1."""

    labels: np.ndarray
    doubts: list[Doubt] = field(default_factory=list)
    orientation: int = 1  # EXIF's, that the file was turned by


def read_mask(path: str | Path, lesion_values: Sequence[int] = ()) -> Objects:
    """The objects of a mask, in its own frame, turned as its orientation says.

    `lesion_values`: the values that are lesions, 0xRRGGBB where a mask is in colours; without them they are guessed, see `objects_of`.

    Raises: DataError with a short reason where it cannot be decoded.
    """
    with decoding(path) as image:
        turn = turn_of(image)
        values, colours = mask_values(image.transpose(TURNS[turn]) if turn in TURNS else image)
        objects = objects_of(values, lesion_values, compressed=image.format in ("JPEG", "MPO"), colours=colours)
        objects.orientation = image.info.get(APPLIED, turn)
    return objects


def mask_values(image: Image.Image) -> tuple[np.ndarray, bool]:
    """The values of an opened mask [h, w], and whether they are colours, as 0xRRGGBB. Indices where a palette starts with black."""
    if is_deep(image):
        return deep_values(image), False
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if alpha.min() < 255:
            visible, colours = colour_values(np.asarray(over_black(image)))
            return (visible, colours) if visible.min() != visible.max() else (alpha, False)  # the shape may lie in alpha alone
        image = image.convert("L" if image.mode == "LA" else "RGB")
    if image.mode == "1":
        return np.asarray(image).view(np.uint8) > 0, False  # Pillow's bytes are 255, which is no bool of numpy
    if image.mode == "L":
        return np.asarray(image), False
    if image.mode == "P":
        indices, palette = np.asarray(image), np.asarray(image.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
        palette = np.concatenate([palette, np.zeros((256 - len(palette), 3), palette.dtype)])
        used = palette[np.unique(indices)]
        if not used.any():
            return indices, False
        if not palette[0].any() and (used != used[:, :1]).any():
            return np.where(palette.any(1), np.arange(256), 0)[indices], False
    return colour_values(np.asarray(image.convert("RGB")))


def colour_values(pixels: np.ndarray) -> tuple[np.ndarray, bool]:
    """Pixels uint8 [h, w, 3] as grey values where they have no colour, else as 0xRRGGBB; and whether they have."""
    if (pixels == pixels[..., :1]).all():
        return pixels[..., 0], False
    return pixels.astype(np.int32) @ np.array([2**16, 2**8, 1], np.int32), True


def objects_of(values: np.ndarray, lesion_values: Sequence[int] = (), *, compressed: bool = False, colours: bool = False) -> Objects:
    """The objects that the values [h, w] of a mask mark.

    Two values: the lower is the ground, the higher a lesion. More: each value but the ground is an object where they stand in areas of
    their own, as in a label map, and 255 beside small labels is void; where they do not, as in a mask with soft edges, and where a mask
    is `compressed`, what differs from the ground by more than half of the largest difference is lesion. A mask whose border is marked all
    around is black on white.

    >>> objects_of(np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 0, 255], [2, 2, 0, 255]])).labels
    array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 0, 0], [2, 2, 0, 0]], dtype=int32)
    """
    if lesion_values:
        return Objects(sum((values == value) * np.int32(i) for i, value in enumerate(lesion_values, 1)).astype(np.int32))
    if values.dtype.kind in "if":
        values = np.maximum(values, 0)
    levels, counts = np.unique(values, return_counts=True) if values.dtype != bool else (np.array([0, 1]), np.array([]))
    doubts: list[Doubt] = []
    if len(levels) > 2 and values.dtype.kind != "f" and not compressed:
        labels = labels_of(values, levels, counts, doubts, colours)
        if labels is not None:
            return Objects(labels, doubts)
    ground = ground_of(values, levels, doubts, colours) if len(levels) > 1 else 0
    above = values - values.dtype.type(ground) if ground else values
    difference = colour_difference(values, ground) if colours else above
    highest = difference.max().item()
    marked = difference > (highest / 2 if values.dtype.kind == "f" else highest // 2) if values.dtype != bool else values
    if not colours and inverted(marked):
        marked = ~marked
        doubts.append((INVERTED, f"its mask has the value {levels[-1]:g} all around its border, which is taken for the ground"))
    if len(levels) > 2:
        between = np.mean((difference > EXTREME * highest) & (difference < (1 - EXTREME) * highest))
        if between > GREY:
            doubts.append(("a mask has many grey levels", f"{between:.0%} of its mask lie between black and white"))
        elif compressed and highest < SMALL:
            doubts.append(("a mask is nearly black", f"the brightest value of its mask is {highest:g}"))
    return Objects(marked.view(np.uint8), doubts)


def colour_difference(values: np.ndarray, ground: int) -> np.ndarray:
    """The largest difference of colours 0xRRGGBB [h, w] from the ground among red, green and blue: uint8 [h, w]."""
    largest = np.zeros(values.shape, np.uint8)
    for shift in 16, 8, 0:
        np.maximum(largest, np.abs((values >> shift & 255) - (ground >> shift & 255)).astype(np.uint8), out=largest)
    return largest


def border_of(values: np.ndarray) -> np.ndarray:
    """The values of the pixels at the border."""
    return np.concatenate([values[0], values[-1], values[1:-1, 0], values[1:-1, -1]])


def inverted(marked: np.ndarray) -> bool:
    """Whether the border is marked all around, and more than a few pixels within are not."""
    return bool(border_of(marked).mean() >= FRAMED and np.count_nonzero(~marked) >= STRAY)


def ground_of(values: np.ndarray, levels: np.ndarray, doubts: list[Doubt], colours: bool) -> int:
    """The value that means no lesion: 0 or black where there is some, else the lowest, or of colours the most frequent at the border."""
    ground = levels[0].item()
    if not ground:
        return 0
    if colours:
        edge, counts = np.unique(border_of(values), return_counts=True)
        ground = edge[counts.argmax()].item()
    name = f"0x{ground:06x}" if colours else f"{ground:g}"
    doubts.append(("no pixel of a mask is 0", f"no pixel of its mask is 0: {name} is taken for the ground"))
    return ground


def labels_of(values: np.ndarray, levels: np.ndarray, counts: np.ndarray, doubts: list[Doubt], colours: bool) -> np.ndarray | None:
    """The objects of a label map of three values or more, int32 [h, w]; None where it is none. Adds to the doubts."""
    told: list[Doubt] = []
    place, top = np.searchsorted(levels, values), levels[-1].item()
    large = counts >= STRAY
    solid = large & (np.bincount(place[in_squares(values)], minlength=len(levels)) >= SOLID * counts)
    void = not colours and top == VOID and levels[-2] <= SMALL and bool(solid[(levels > 0) & (levels < VOID)].any())
    small = not colours and (void or top <= SMALL)
    framed = not colours and not void and not levels[0] and np.mean(border_of(values) == top) >= FRAMED
    ground = top if framed else ground_of(values, levels, told, colours)
    others = levels != ground
    if framed:
        told.append((INVERTED, f"its mask has the value {top} all around its border, which is taken for the ground"))
    if void:
        told.append(("255 in a mask of small labels is taken for void", f"{counts[-1]} pixels of its mask are 255"))
        others[-1] = False
    usable = others & (large if small else solid)
    odd = counts[others & ~usable].sum()
    if not small:
        soft = values.dtype == np.uint8 and ((levels <= EXTREME * top) | (levels >= (1 - EXTREME) * top))[usable].all()
        if usable.sum() < 2 or soft or odd > ODD * counts[others].sum():
            return None
    if odd:
        told.append(("a mask has stray pixels of odd values", f"{odd} pixels of its mask have odd values, and are taken for the ground"))
    doubts += told
    return np.where(usable, np.cumsum(usable), 0).astype(np.int32)[place]


def in_squares(values: np.ndarray) -> np.ndarray:
    """Which pixels stand in a square of 2 x 2 of one value: bool [h, w]."""
    across, down = values[:, 1:] == values[:, :-1], values[1:] == values[:-1]
    squares = across[1:] & across[:-1] & down[:, 1:] & down[:, :-1]
    pixels = np.zeros(values.shape, bool)
    for part in pixels[:-1, :-1], pixels[1:, :-1], pixels[:-1, 1:], pixels[1:, 1:]:
        part |= squares
    return pixels
