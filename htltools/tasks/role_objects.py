"""Boxes that rows hold, annotated and predicted, in one form for drawing and counting."""

from collections.abc import Sequence

import numpy as np

from htltools.core.geometry.objects import is_known, joined, packed, present
from htltools.formats.rows.row import Box, Row
from htltools.formats.rows.schema import OBJECT, ROLES
from htltools.formats.rows.spooled import KEPT
from htltools.tasks.detect import object_labels


def objects_by_role(rows: Sequence[Row], roles: Sequence[str] = ROLES) -> dict[str, np.ndarray]:
    """All boxes of rows as objects (see `core.geometry.objects`) by role, `annotated` and those asked for: float [N, M, 5] each.

    A model's prediction in place of an annotation (`pseudo`) is none. An empty list of boxes counts only where models find several
    objects; a role without any prediction is left out.
    """
    number = {name: place for place, name in enumerate(class_names(rows))}
    several = any("detected" in row or len(row.boxes or ()) > 1 for row in rows)

    def array(row: Row, boxes: list[Box] | None, labels: list[str]) -> np.ndarray | None:
        if boxes is None:
            return None
        size = (row.size or [1, 1]) * 2
        return np.array([[*np.divide(box, size), number[name]] for box, name in zip(boxes, labels)]).reshape(-1, 5)

    def annotated(row: Row) -> np.ndarray | None:
        boxes = None if row.is_pseudo else row.boxes
        return array(row, boxes if boxes or several else None, object_labels(row))

    def predicted(row: Row, role: str) -> np.ndarray | None:
        if objects := row.detected.get(role):
            return array(row, objects["boxes"], objects["labels"])
        box = row.predicted.get(role)
        return array(row, [box] if box else None, (row.labels or [OBJECT])[:1])

    by_role: dict[str, list[np.ndarray]] = {role: [] for role in dict.fromkeys(["annotated", *roles])}
    for piece in (list(rows[first : first + KEPT]) for first in range(0, max(len(rows), 1), KEPT)):
        by_role["annotated"].append(packed(map(annotated, piece), 5))
        for role in roles:
            by_role[role].append(packed((predicted(row, role) for row in piece), 5))
    found = {role: joined(own) for role, own in by_role.items()}
    return {role: own for role, own in found.items() if role == "annotated" or is_known(own).any()}


def class_names(rows: Sequence[Row]) -> list[str]:
    """The classes of all boxes of rows, annotated and predicted, in the order in which `objects_by_role` numbers them."""
    names = {OBJECT}
    for row in rows:
        names.update(object_labels(row), *(own["labels"] for own in row.detected.values()))
    return sorted(names)


def name_lists(objects: np.ndarray, names: Sequence[str]) -> list[list[str]]:
    """The class of each box of each image of [N, M, 5], as `box_lists` has them."""
    return [[names[int(number)] for number in own[present(own)][:, 4]] for own in objects]


def box_lists(objects: np.ndarray) -> list[np.ndarray]:
    """The boxes of each image of [N, M, 5], as shares of its sides: [n, 4] each."""
    return [own[present(own)][:, :4] for own in objects]
