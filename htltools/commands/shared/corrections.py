"""Corrections: boxes that come back from a labelling tool, and replace those of rows."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from htltools import console
from htltools.core.geometry.box_changes import box_changes
from htltools.core.geometry.box_cleaning import fitted_boxes
from htltools.errors import DataError
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import OBJECT
from htltools.formats.rows.spooled import kept_rows
from htltools.formats.rows.vocabulary import HARDNESS, LABEL_FREE
from htltools.formats.sources.annotation_files import read_annotations
from htltools.formats.sources.names import ImageNames
from htltools.formats.tables.facts import Facts

FRAME_TOLERANCE = 0.02  # of the aspect ratio, between the frame that a review declares and the image
SHOWN = 3  # names in a sentence


@dataclass(frozen=True)
class Corrections:
    """What a review says, by the id of the image: `by` is the name of its file. lost: names in it that are no image's; notes: sentences."""

    by: str
    facts: dict[str, Facts]
    lost: list[str]
    notes: list[str]


def read_corrections(path: Path, ids: Sequence[str], files: Sequence[str]) -> Corrections:
    """The corrections in an annotation file of any kind that `prepare` reads, for images by id and path. An image is known by the end of
    its path, or by its id where that is not there.

    Raises: as `read_annotations`; DataError where the review names none of the images.
    """
    by_file, by_id = ImageNames(files, files), ImageNames([f"/{name}" for name in ids], ids)
    annotations = read_annotations(path, by_file)
    first = by_file.match(annotations.facts)
    second = by_id.match(first.unmatched)
    facts: dict[str, Facts] = {}
    notes = [*annotations.doubts, *annotations.notes]
    for matches in first, second:
        for i, names in matches.names.items():
            if ids[i] in facts or len(names) > 1:
                notes.append(f"{path.name} names the image {ids[i]!r} several times: {names[0]!r} counts")
            facts.setdefault(ids[i], annotations.facts[names[0]])
    lost = [*second.unmatched, *first.ambiguous, *second.ambiguous]
    if not facts:
        raise DataError(f"{path} names none of the {len(ids)} images", f"it names {', '.join(map(repr, lost[:SHOWN])) or 'no image'}")
    reasons = Counter(each["reason"] for each in annotations.left_out)
    notes += [f"{count} parts of {path.name} are not used: {reason}" for reason, count in reasons.most_common(SHOWN)]
    return Corrections(path.name, facts, lost, notes)


def corrected_row(row: Row, facts: Facts, by: str, one_box: str = "all") -> Row:
    """The row with the boxes and classes of a review, and what they replaced in `corrected`; the row itself where nothing changed.

    A review that says nothing of the image changes nothing, and neither does one that marks nothing where nobody had annotated anything:
    it does not tell whether a person looked. Scores that follow from the annotation are dropped.

    Raises: DataError where the review is of an image of another form, or a box of it is of no use.
    """
    if facts.boxes is None or (not facts.boxes and row.annotated_boxes is None):
        return row
    if not row.size:
        raise DataError("the row has no size")
    size = row.size[0], row.size[1]
    if facts.frame and abs(facts.frame[0] * size[1] / (facts.frame[1] * size[0]) - 1) > FRAME_TOLERANCE:
        raise DataError(f"it was corrected as {facts.frame[0]:g}x{facts.frame[1]:g}, and is {size[0]}x{size[1]}")
    frame = (1.0, 1.0) if facts.shares else facts.frame or size
    boxes, reason = fitted_boxes(facts.boxes, frame, size, one_box)
    if reason:
        raise DataError(reason)
    old = row.annotated_boxes or []
    old_classes = classes_of(row) if old else []
    classes = [own or row.label or OBJECT for own in facts.categories or [None] * len(boxes)]
    if len(classes) != len(boxes):  # several became one
        classes = classes[:1] * len(boxes)
    changes = box_changes(old, boxes, old_classes, classes)
    if not changes and row.annotated_boxes is not None:
        return row
    boxes = [box if place is None else old[place] for place, box in zip(changes.kept, boxes)]
    before = {name: row[name] for name in ("boxes", "labels", "label", "pseudo") if row.get(name) is not None}
    fields: dict[str, Any] = {"boxes": boxes, "corrected": [*(row.get("corrected") or ()), {"by": by} | before]}
    if row.labels is not None or len({*classes}) > 1:
        fields["labels"] = classes
    elif classes and classes[0] not in (row.label, OBJECT):
        fields["label"] = classes[0]
    hardness = {name: value for name, value in row.hardness.items() if name not in HARDNESS or name in LABEL_FREE}
    kept = {name: value for name, value in row.items() if name not in ("pseudo", "hardness")}
    return Row(kept | fields | ({"hardness": hardness} if hardness else {}))


def classes_of(row: Row) -> list[str]:
    """The class of each box: its own, or the label of the image, or `object`."""
    return row.labels or [row.label or OBJECT] * len(row.boxes or ())


def corrected_rows(rows: Sequence[Row], path: Path) -> Sequence[Row]:
    """The rows with the corrections of a file; what these changed is said.

    Raises: as `read_corrections`.
    """
    own = {row.id: os.path.join(row.get("source_folder") or "", row.file or row.id) for row in rows}
    corrections = read_corrections(path, list(own), list(own.values()))
    refused: dict[str, str] = {}
    corrected = kept_rows(with_corrections(rows, corrections, refused))
    say_corrections(corrections, corrected, refused)
    return corrected


def with_corrections(rows: Iterable[Row], corrections: Corrections, refused: dict[str, str]) -> Iterator[Row]:
    """The rows with the corrections of theirs; by id, why some of these could not be used is added to `refused`. A lesion mask in the
    store is of the annotation before, which `mask_outdated` says."""
    for row in rows:
        made = row
        if row.id in corrections.facts:
            try:
                made = corrected_row(row, corrections.facts[row.id], corrections.by)
            except DataError as error:
                refused[row.id] = str(error)
        yield made if made is row else made.changed(mask_outdated=True)


def say_corrections(corrections: Corrections, rows: Sequence[Row], refused: Mapping[str, str]) -> None:
    """Say what the corrections changed in the rows, by objects; what they removed; and what of them could not be used, or found."""
    for note in corrections.notes:
        console.say(note)
    reviewed = [row for row in rows if row.id in corrections.facts and not row.repeat and row.id not in refused]
    changed = [row for row in reviewed if corrections.by in [each.get("by") for each in (row.get("corrected") or [])[-1:]]]
    counts: Counter[str] = Counter()
    for row in changed:
        before = Row(row["corrected"][-1] | {"id": row.id, "label": row["corrected"][-1].get("label")})
        old = before.annotated_boxes or []
        changes = box_changes(old, row.boxes or [], classes_of(before) if old else [], classes_of(row))
        counts.update(moved=changes.moved, added=changes.added, removed=changes.removed, renamed=changes.renamed)
    words = {"moved": "moved", "added": "added", "removed": "removed", "renamed": "of another class"}
    objects = ", ".join(f"{counts[name]} {word}" for name, word in words.items() if counts[name])
    console.say(
        f"{corrections.by}: {len(changed)} of {len(reviewed)} images are corrected"
        + (f" (objects: {objects})" if objects else "")
        + f", {len(reviewed) - len(changed)} stay as they were"
    )
    if emptied := [row.id for row in changed if not row.boxes]:
        console.say(f"{len(emptied)} images hold no object any more: {some(emptied)}")
    silent = [row.id for row in reviewed if row not in changed and row.annotated_boxes is None and not corrections.facts[row.id].boxes]
    if silent:
        console.say(f"{len(silent)} images stay without annotation, for the review marks nothing in them: {some(silent)}")
    for reason, count in Counter(refused.values()).most_common(SHOWN):
        console.say(f"{count} images are not corrected: {reason} ({some([name for name, own in refused.items() if own == reason])})")
    if corrections.lost:
        console.say(f"{len(corrections.lost)} names of {corrections.by} are no image of the rows, or several: {some(corrections.lost)}")


def some(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def without_objects(facts: Facts) -> Facts:
    """Facts without boxes and outlines."""
    return replace(facts, boxes=None, labels=None, outlines=None)
