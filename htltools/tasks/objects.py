"""Several objects an image: the boxes and labels of rows as arrays, and arrays as fields of rows."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from htltools.commands.shared.inputs import rounded_scores
from htltools.core.geometry.objects import is_known, packed, present
from htltools.core.nets.detector import room_for
from htltools.errors import DataError
from htltools.formats.rows.schema import OBJECT, ROLES


def object_labels(row: dict) -> list[str]:
    """The class of each box of a row.

    Raises: DataError where there are more or fewer labels than boxes.
    """
    boxes, labels = row.get("boxes") or [], row.get("labels")
    if labels is not None and len(labels) != len(boxes):
        raise DataError(f"the row {row['id']!r} has {len(boxes)} boxes and {len(labels)} labels", "labels says the class of each box")
    return labels if labels is not None else [OBJECT] * len(boxes)


def class_names(rows: Iterable[dict]) -> list[str]:
    """The classes of all boxes of the rows, each once, in order."""
    return sorted({label for row in rows for label in object_labels(row)})


def told(rows: Sequence[dict]) -> dict:
    """What the rows tell of the detector to build: its classes, and how many objects it should be able to find.

    Raises: DataError where no row has an object.
    """
    objects = class_names(rows)
    if not objects:
        raise DataError("no row of split train has a box", "there is nothing to find")
    return {"objects": objects, "most": room_for(max(len(row["boxes"]) for row in rows))}


def target_objects(rows: Sequence[dict], classes: Sequence[str]) -> np.ndarray:
    """The annotated objects of each row, see `core.objects`: float32 [N, M, 5]; NaN where a row has no key `boxes`.

    Raises: DataError where a row has an object of none of the classes.
    """
    number = {name: place for place, name in enumerate(classes)}
    objects: list[np.ndarray | None] = []
    for row in rows:
        if row.get("boxes") is None:
            objects.append(None)
            continue
        labels = object_labels(row)
        strange = next((label for label in labels if label not in number), None)
        if strange is not None:
            raise DataError(f"the row {row['id']!r} has an object of class {strange!r}, and the model knows {', '.join(classes)}")
        own = np.array([[*np.clip(np.divide(box, row["size"] * 2), 0, 1), number[label]] for box, label in zip(row["boxes"], labels)])
        objects.append(own.reshape(-1, 5))
    return packed(objects, 5)


def with_objects(
    rows: Sequence[dict], columns: dict[str, np.ndarray], found: dict[str, np.ndarray], sizes: np.ndarray, classes: Sequence[str]
) -> Iterator[dict]:
    """The rows with their hardness by column ([N] each) and the objects found by role ([N, D, 6] each); what is unknown is left out."""
    for i, row in enumerate(rows):
        hardness = row.get("hardness", {}) | rounded_scores(columns, i)
        predictions = {role: detected(own[i], sizes[i], classes) for role, own in found.items() if is_known(own[i])}
        yield row | {"hardness": hardness, "detected": row.get("detected", {}) | predictions}


def detected(found: np.ndarray, size: Sequence[float], classes: Sequence[str]) -> dict[str, list]:
    """The field `detected` of a role, from the objects found on one image [D, 6] of size (width, height)."""
    there = found[present(found)]
    pixels = there[:, :4].astype(float) * np.tile(size, 2)
    return {
        "boxes": [[round(edge, 2) for edge in box] for box in pixels.tolist()],
        "labels": [classes[int(number)] for number in there[:, 4]],
        "scores": [round(float(score), 4) for score in there[:, 5]],
    }


def objects_by_role(rows: Sequence[dict], roles: Sequence[str] = ROLES) -> dict[str, np.ndarray]:
    """All that rows say of boxes, as objects (see `core.objects`) by role, `annotated` and those asked for: float32 [N, M, 5] each.

    A model's answer in place of an annotation (`pseudo`) is none. An empty list of boxes says something only where models find
    several objects; a role that no row speaks of is left out.
    """
    found = {name for row in rows for own in row.get("detected", {}).values() for name in own["labels"]}
    classes = sorted({OBJECT, *class_names(rows), *found})
    number = {name: place for place, name in enumerate(classes)}
    several = any("detected" in row or len(row.get("boxes") or ()) > 1 for row in rows)

    def array(row: dict, boxes: list | None, labels: list[str]) -> np.ndarray | None:
        if boxes is None:
            return None
        return np.array([[*np.divide(box, row["size"] * 2), number[name]] for box, name in zip(boxes, labels)]).reshape(-1, 5)

    def annotated(row: dict) -> np.ndarray | None:
        boxes = None if row.get("pseudo") else row.get("boxes")
        return array(row, boxes if boxes or several else None, object_labels(row))

    def predicted_and_target(row: dict, role: str) -> np.ndarray | None:
        found = row.get("detected", {}).get(role)
        if found:
            return array(row, found["boxes"], found["labels"])
        box = row.get("predicted", {}).get(role)
        return array(row, box and [box], (row.get("labels") or [OBJECT])[:1])

    by_role = {"annotated": [annotated(row) for row in rows]} | {role: [predicted_and_target(row, role) for row in rows] for role in roles}
    return {role: packed(own, 5) for role, own in by_role.items() if role == "annotated" or any(each is not None for each in own)}


def drawn(objects: np.ndarray) -> list[np.ndarray]:
    """The boxes of each image of [N, M, 5], as shares of its sides: [n, 4] each."""
    return [own[present(own)][:, :4] for own in objects]
