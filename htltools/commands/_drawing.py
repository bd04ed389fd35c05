"""Rows as pictures with their boxes: the contact sheet of `view --sheet`, and small ones on a terminal for `view --pictures`."""

from dataclasses import dataclass

import numpy as np

from htltools.commands._inputs import picture_sizes
from htltools.core.contact_sheet import contact_sheet
from htltools.errors import UsageError
from htltools.formats.fields import cell, field
from htltools.formats.schema import ROLES
from htltools.formats.store import Pictures

MOST = 60  # pictures of a sheet


@dataclass
class Drawing:
    """What is drawn of N rows: pictures uint8 [N, H, W, 3], sizes [N, 2], boxes by role (N arrays [B, 4]), and two texts each."""

    pictures: np.ndarray
    sizes: np.ndarray
    boxes: dict[str, list[np.ndarray]]
    ids: list[str]
    values: list[str]
    title: str

    def sheet(self, columns: int = 6) -> np.ndarray:
        """All of it as one picture uint8 [height, width, 3], at most `columns` in a line."""
        captions = [f"{name}  {value}" for name, value in zip(self.ids, self.values)]
        return contact_sheet(self.pictures, self.sizes, self.boxes, captions, self.title, columns)


def drawing(rows: list[dict], sort: str | None) -> Drawing:
    """What is drawn of rows, at most 60 of them; the values are those that they were sorted by, else labels.

    Raises: UsageError where there is none; DataError where a row has no picture, or no size.
    """
    rows = rows[:MOST]
    if not rows:
        raise UsageError("no row is left to draw")
    values = [cell(field(row, sort)) if sort else cell(row.get("label")) for row in rows]
    title = f"{len(rows)} samples" + (f", highest {sort} first" if sort else "")
    pictures = Pictures(rows).batch(np.arange(len(rows)))
    return Drawing(pictures, picture_sizes(rows), boxes_by_role(rows), [row["id"] for row in rows], values, title)


def boxes_by_role(rows: list[dict]) -> dict[str, list[np.ndarray]]:
    """The annotated boxes of each row and the answers of each role that any row has: arrays [B, 4], shares of the picture's sides."""
    found = {"annotated": [row.get("boxes") or [] for row in rows]}
    found |= {role: [answers(row, role) for row in rows] for role in ROLES}
    frames = [np.array(row["size"] * 2, float) for row in rows]
    return {role: [np.reshape(own, (-1, 4)) / frame for own, frame in zip(boxes, frames)] for role, boxes in found.items() if any(boxes)}


def answers(row: dict, role: str) -> list[list[float]]:
    """The boxes that a model of that role answered with: of a detector's many, the foremost, as many as are annotated, or one."""
    if box := (row.get("predicted") or {}).get(role):
        return [box]
    detected = (row.get("detected") or {}).get(role) or {}
    ranked = sorted(zip(detected.get("scores") or [], detected.get("boxes") or []), reverse=True)
    return [box for _, box in ranked[: len(row.get("boxes") or []) or 1]]
