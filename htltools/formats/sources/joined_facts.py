"""What tables and annotation files say of the same images, put together."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from htltools.formats.rows.schema import OBJECT
from htltools.formats.sources.candidate import UNKNOWN, readable
from htltools.formats.sources.names import ImageNames
from htltools.formats.tables.facts import Annotations, Facts

WORDS = "group", "split", "label"


@dataclass
class JoinedFacts:
    """Facts of N images, and what did not fit."""

    facts: list[Facts]
    unmatched: dict[str, list[str]] = field(default_factory=dict)  # names by the file that has them
    ambiguous: dict[int, str] = field(default_factory=dict)  # why an image is left out, by its number
    conflicts: dict[str, list[int]] = field(default_factory=dict)  # images of which a file says otherwise than what stands

    def add(self, annotations: Annotations, images: ImageNames, numbers: Sequence[int]) -> None:
        """Add one file to those before. `images`: those that it may name; `numbers`: the numbers of these among all."""
        matches = images.match(annotations.facts)
        source = Path(annotations.source).name
        for place, names in matches.names.items():
            for name in names:
                self.put(numbers[place], annotations.facts[name], source)
        for name, fitting in matches.ambiguous.items():
            for place in fitting:
                if place not in matches.names:
                    reason = f"the name {readable(name)!r} of {source} fits {len(fitting)} images"
                    self.ambiguous.setdefault(numbers[place], reason)
        if unmatched := matches.unmatched + list(matches.ambiguous):
            self.unmatched[annotations.source] = self.unmatched.get(annotations.source, []) + unmatched

    def put(self, i: int, facts: Facts, source: str, *, instead: bool = False) -> None:
        """Add facts of one image. What stands of group, split and label stays; boxes are added, or taken `instead` where there are some."""
        known = self.facts[i]
        if not known.known:
            self.facts[i] = facts
            return
        words: dict[str, Any] = {}
        for word in WORDS:
            first, second = getattr(known, word), getattr(facts, word)
            words[word] = first or second
            if first and second and first != second:
                self.conflicts.setdefault(f"the {word} of {source}", []).append(i)
        objects = known
        if facts.boxes is not None or facts.outlines is not None:
            same_frame = (known.frame, known.shares) == (facts.frame, facts.shares)
            if instead or not (known.boxes or known.outlines):
                objects = facts
            elif not same_frame:
                self.conflicts.setdefault(f"the frame of {source}", []).append(i)
            else:
                objects = united(known, facts)
        own = {name: getattr(objects, name) for name in ("boxes", "labels", "frame", "shares", "outlines")}
        self.facts[i] = replace(known, meta=facts.meta | known.meta, **words, **own)

    def overlay(self, files: "JoinedFacts") -> None:
        """Add what annotation files say to what tables do; boxes are those of the files where both have some."""
        for i, facts in enumerate(files.facts):
            if facts.known:
                self.put(i, facts, "the annotations", instead=True)
        for name, images in files.conflicts.items():
            self.conflicts.setdefault(name, []).extend(images)
        self.unmatched |= files.unmatched
        self.ambiguous = files.ambiguous | self.ambiguous


def united(first: Facts, second: Facts) -> Facts:
    """The first facts with the boxes and outlines of both, each once, with the classes that they have."""
    if first.outlines or second.outlines:
        if (first.boxes, first.outlines) == (second.boxes, second.outlines):
            return first
        joined: dict[str, Any] = {
            name: (getattr(first, name) or []) + (getattr(second, name) or []) or None for name in ("boxes", "labels", "outlines")
        }
        return replace(first, **joined)
    labelled = first.labels is not None or second.labels is not None or first.label != second.label
    objects: dict[tuple, list[float]] = {}
    for facts in first, second:
        boxes = facts.boxes or []
        for box, label in zip(boxes, facts.labels or [facts.label or OBJECT] * len(boxes), strict=True):
            objects.setdefault((*box, label if labelled else ""), box)
    return replace(first, boxes=list(objects.values()), labels=[str(key[-1]) for key in objects] if labelled and objects else None)


def no_facts(count: int) -> JoinedFacts:
    """Nothing known of so many images."""
    return JoinedFacts([UNKNOWN] * count)
