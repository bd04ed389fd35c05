"""The images that the lines of a table are about, and the size that it declares of each."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

from htltools.formats.csv.boxes import Boxes
from htltools.formats.csv.cells import metadata
from htltools.formats.csv.roles import ImagesByName
from htltools.formats.csv.text import Table

FITS = 1.02  # of a side of the size that a table declares, where its boxes may end

Frame = tuple[float, float]  # width, height


class ImageNames(ImagesByName, Protocol):
    """What is asked of `sources.names.ImageNames`, which this room may not import."""

    @property
    def by_stem(self) -> Mapping[str, list[int]]:
        """The images by their file names without suffix."""
        ...

    def match(self, names: Any) -> Any:
        """Which names mean which images."""
        ...


def restored_names(names: list[str], images: ImageNames | None) -> tuple[list[str], str]:
    """The names, with the leading zeros that spreadsheets drop where no name is an image's without them; and an example, or ""."""
    given = sorted(set(names) - {""})
    if images is None or not given or not all(name.isdecimal() for name in given):
        return names, ""
    widths = {len(stem) for stem in images.by_stem if stem.isdecimal()}
    if len(widths) != 1 or images.count(given) or not images.count(name.zfill(*widths) for name in given):
        return names, ""
    return [name and name.zfill(*widths) for name in names], f"{given[0]} is read as {given[0].zfill(*widths)}"


def rows_by_image(names: Sequence[str], images: ImageNames | None) -> dict[str, list[int]]:
    """The rows of each image, by its name as it is written; of several spellings of one image the longest.

    >>> rows_by_image(["a", "b", "", "a"], None)
    {'a': [0, 3], 'b': [1]}
    """
    by_name: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        if name:
            by_name.setdefault(name, []).append(row)
    for spellings in images.match(list(by_name)).names.values() if images else ():
        if len(spellings) > 1:
            together = sorted(chain(*(by_name.pop(name) for name in spellings)))
            by_name[max(spellings, key=lambda name: (len(name), name))] = together
    return by_name


def declared_frames(
    table: Table, columns: Sequence[str], by_image: Mapping[str, Sequence[int]], boxes: Boxes
) -> tuple[list[Frame | None], str]:
    """Width and height of each image where columns declare them, and a doubt, or "": they are not used where most boxes are larger."""
    nothing: list[Frame | None] = [None] * len(by_image)
    if not columns:
        return nothing, ""
    sides = [metadata(name, table.cells[name]) for name in columns]
    frames = [frame_of({(sides[0][row], sides[1][row]) for row in own}) for own in by_image.values()]
    framed = beyond = 0
    for frame, own in zip(frames, by_image.values(), strict=True):
        width, height = frame or (0, 0)
        for box in chain(*(boxes[row] for row in own)) if frame else ():
            framed += 1
            beyond += box[2] > FITS * width or box[3] > FITS * height
    if beyond * 2 <= framed:
        return frames, ""
    names = " and ".join(columns)
    return nothing, f"{names} of {table.name} are not used as the size of the images: {beyond} of {framed} boxes are larger"


def frame_of(declared: set[tuple[Any, Any]]) -> Frame | None:
    """The one size that is declared; None where there is none, or several.

    >>> frame_of({(600, 450), (None, None)}), frame_of({(600, 450), (450, 600)})
    ((600.0, 450.0), None)
    """
    sound = [sides for sides in declared if all(isinstance(side, (int, float)) and side > 0 for side in sides)]
    return (float(sound[0][0]), float(sound[0][1])) if len(sound) == 1 else None
