"""Images and the objects marked in them, while an annotation file is read: what becomes of odd objects is decided here for all formats."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from htltools.formats.rows.row import Box
from htltools.formats.rows.schema import OBJECT
from htltools.formats.tables.facts import SPLIT_WORDS, Annotations, Facts
from htltools.formats.tables.outlines import Outline, box_of_outline, checked_number, checked_outline, is_rectangle

WORDS = "group", "split", "label"
SHOWN = 3  # names in a sentence
DIGITS = 6  # of pixels that follow from shares
ROUNDING = 1e-6  # beyond 0 and 1, of shares


@dataclass(slots=True)
class MarkedImage:
    """One image of a file: its facts without objects, and its objects by box, class and outline, so that each counts once."""

    facts: Facts
    objects: dict[tuple, tuple[Box, str | None, Outline | None]] = field(default_factory=dict)
    annotated: bool = True  # whether it holds no object where none is marked
    classed: bool = True  # whether its boxes have classes of their own where the file uses several
    crowds: int = 0
    unusable: int = 0  # objects that were left out

    @property
    def is_known(self) -> bool:
        """Whether it has objects, or is known to have none."""
        return bool(self.objects) or (self.annotated and not self.crowds and not self.unusable)


@dataclass
class MarkedImages:
    """The images of one annotation file, by name as it is written there. `source`: how the file is called."""

    source: str
    images: dict[str, MarkedImage] = field(default_factory=dict)
    left_out: list[dict[str, str]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # images that cannot be used at all, and why
    conflicts: dict[str, list[str]] = field(default_factory=dict)  # images that are described twice, by what differs
    listed_again: dict[str, None] = field(default_factory=dict)
    odd_splits: dict[str, int] = field(default_factory=dict)  # words that name no split, and how often
    repeated: int = 0

    def add_image(self, name: str, facts: Facts, *, annotated: bool = True, classed: bool = True) -> MarkedImage:
        """An image. One that the file names twice is one; what it says first stays."""
        known = self.images.setdefault(name, MarkedImage(facts, annotated=annotated, classed=classed))
        if known.facts is not facts:
            known.annotated = known.annotated or annotated
            self.listed_again[name] = None
            self.merge(name, known.facts, facts)
        return known

    def merge(self, name: str, known: Facts, facts: Facts) -> None:
        """Add what an image's second entry says."""
        for word in WORDS:
            first, second = getattr(known, word), getattr(facts, word)
            setattr(known, word, first or second)
            if first and second and first != second:
                self.conflicts.setdefault(word, []).append(name)
        if known.frame and facts.frame and known.frame != facts.frame:
            sizes = " and ".join(f"{width:g}x{height:g}" for width, height in (known.frame, facts.frame))
            self.refuse(name, f"{self.source} declares its size as {sizes}")
        known.frame, known.meta = known.frame or facts.frame, facts.meta | known.meta

    def refuse(self, name: str, reason: str) -> None:
        """Leave an image out."""
        self.refused.setdefault(name, reason)

    def leave_out(self, part: str, reason: str, image: MarkedImage | None = None) -> None:
        """Leave a part of the file out, perhaps an object of an image."""
        self.left_out.append({"id": part, "source": self.source, "reason": reason})
        if image:
            image.unusable += 1

    def mark(self, image: MarkedImage, part: str, box: Any, category: str | None, outline: Any = None, *, sized: bool = False) -> None:
        """Add an object of an image: its box, class and outline. Where it cannot be used, it is left out as `part`.

        box: corners [x0, y0, x1, y1], or with `sized` [x, y, width, height]; without one it is that of the outline.
        """
        try:
            drawn = checked_outline(outline)
            corners = checked_box(box, drawn, sized=sized)
        except ValueError as error:
            return self.leave_out(part, str(error), image)
        before = len(image.objects)
        image.objects.setdefault((*corners, category, str(drawn) if drawn else None), (corners, category, drawn))
        self.repeated += len(image.objects) == before

    def split_named(self, word: Any) -> str | None:
        """The split that a word means. Other words are counted."""
        split = SPLIT_WORDS.get(str(word).strip().casefold()) if word not in (None, "") else None
        if word not in (None, "") and not split:
            self.odd_splits[str(word)] = self.odd_splits.get(str(word), 0) + 1
        return split

    def annotations(self, path: Path, notes: Iterable[str] = (), *, shares: bool | None = None) -> Annotations:
        """What the file says. `shares`: whether boxes are shares of the image's sides; None: they are where all are below 1."""
        for name, reason in self.refused.items():
            self.images.pop(name, None)
            self.leave_out(name, reason)
        made = Annotations(self.source, {}, path, boxed=True, left_out=self.left_out, notes=list(notes))
        objects = [each for image in self.images.values() for each in image.objects.values()]
        guessed = shares is None and bool(objects) and all(max(box) <= 1 + ROUNDING and min(box) >= -ROUNDING for box, _, _ in objects)
        if guessed:
            made.doubts.append("all boxes are between 0 and 1: they are read as shares of the image's sides")
        several = len({category for _, category, _ in objects}) > 1
        outlined = any(outline for _, _, outline in objects)
        for name, image in self.images.items():
            own = facts_of(image, several=several, outlined=outlined)
            made.facts[name] = as_pixels(own) if shares or guessed else own
        made.doubts += self.doubts()
        made.notes += self.notes(objects)
        made.roles = self.roles(objects)
        return made

    def doubts(self) -> list[str]:
        """Sentences on what looks wrong and is kept."""
        crowds = [name for name, image in self.images.items() if image.crowds and not image.objects]
        doubts = [f"{len(names)} images are described twice with another {word}, such as {shown(names)}: the first stands"
                  for word, names in self.conflicts.items()]  # fmt: skip
        if crowds:
            doubts.append(
                f"{len(crowds)} images hold nothing but crowd regions (iscrowd 1), such as {shown(crowds)}: they count as not annotated; "
                "CVAT marks brush masks so"
            )
        if self.odd_splits:
            words = ", ".join(f"{word!r} ({count})" for word, count in list(self.odd_splits.items())[:SHOWN])
            doubts.append(f"{sum(self.odd_splits.values())} images have a split that is none of train, val and test: {words}")
        return doubts

    def notes(self, objects: list[tuple[Box, str | None, Outline | None]]) -> list[str]:
        """Sentences on what was assumed."""
        notes = [f"{self.repeated} objects are marked twice and count once"] if self.repeated else []
        if again := list(self.listed_again):
            notes.append(f"{len(again)} images are listed several times, such as {shown(again)}: they have the objects of all entries")
        if crowds := sum(image.crowds for image in self.images.values() if image.objects):
            notes.append(f"{crowds} crowd regions (iscrowd 1) beside other objects are not used")
        outlines = [(box, outline) for box, _, outline in objects if outline]
        mixed = [name for name, image in self.images.items() if len({bool(each[2]) for each in image.objects.values()}) > 1]
        if mixed:
            notes.append(f"{len(mixed)} images have objects with and without an outline, such as {shown(mixed)}: they get no lesion mask")
        if outlines and all(is_rectangle(outline, box) for box, outline in outlines):
            notes.append("all outlines are rectangles: the lesion masks hold no more than the boxes")
        return notes

    def roles(self, objects: list) -> dict[str, str]:
        """Where groups, labels, splits and boxes come from."""
        images = [image.facts for image in self.images.values()]
        named = {f"{word}s": word for word in WORDS if any(getattr(facts, word) for facts in images)}
        roles = {role: f"key {word}" for role, word in named.items()}
        if any(category for _, category, _ in objects):
            roles["labels"] = "categories"
        return roles | ({"boxes": self.source} if objects else {})


def checked_box(box: Any, outline: Outline | None, *, sized: bool) -> Box:
    """The corners of a box, or of the one around an outline where no box is given.

    Raises: ValueError with a short reason.
    """
    if box is None or box == []:
        if not outline:
            raise ValueError("it has neither a box nor an outline")
        corners = box_of_outline(outline)
    else:
        if not isinstance(box, list) or len(box) != 4:
            raise ValueError("its box is no list of four numbers")
        try:
            corners = [checked_number(number) for number in box]
        except (TypeError, OverflowError):
            raise ValueError("its box is no list of four numbers") from None
        if sized:
            corners = [corners[0], corners[1], corners[0] + corners[2], corners[1] + corners[3]]
    if not (corners[0] < corners[2] and corners[1] < corners[3]):
        raise ValueError("its box has no area")
    return corners


def facts_of(image: MarkedImage, *, several: bool, outlined: bool) -> Facts:
    """The facts of an image. `several`: whether the file uses several classes; `outlined`: whether it has outlines."""
    objects = list(image.objects.values())
    classes = {category for _, category, _ in objects} - {None}
    own = replace(image.facts, label=image.facts.label or (classes.pop() if len(classes) == 1 else None))
    if image.is_known:
        own.boxes = [box for box, _, _ in objects]
        own.categories = [category for _, category, _ in objects]
        own.labels = [category or OBJECT for _, category, _ in objects] if several and image.classed else None
        own.outlines = [outline for _, _, outline in objects] if outlined and all(outline for _, _, outline in objects) else None
    return own


def as_pixels(facts: Facts) -> Facts:
    """The facts of an image whose boxes and polygons are shares of its sides: in pixels where its size is declared."""
    if not facts.frame:
        return replace(facts, shares=True)
    width, height = facts.frame

    def scaled(numbers: list[float]) -> list[float]:
        return [round(number * (height if place % 2 else width), DIGITS) for place, number in enumerate(numbers)]

    boxes = [scaled(box) for box in facts.boxes] if facts.boxes is not None else None
    outlines = None
    if facts.outlines is not None:
        outlines = [outline if isinstance(outline, dict) else [scaled(polygon) for polygon in outline] for outline in facts.outlines]
    return replace(facts, boxes=boxes, outlines=outlines)


def shown(names: list[str]) -> str:
    """The first names of a list."""
    return ", ".join(repr(name) for name in names[:SHOWN])
