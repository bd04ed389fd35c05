"""Rows as images with their boxes: the contact sheet of `view --sheet`, and small ones on a terminal for `view --images`."""

from dataclasses import dataclass

import numpy as np

from htltools.core.figures.contact_sheet import contact_sheet
from htltools.errors import UsageError
from htltools.formats.rows.fields import cell, field
from htltools.formats.store.shard import Images
from htltools.tasks.role_objects import box_lists, objects_by_role
from htltools.tasks.rows import image_sizes

MOST = 60  # images of a sheet


@dataclass
class Drawing:
    """What is drawn of N rows: images uint8 [N, H, W, 3], sizes [N, 2], boxes by role (N arrays [B, 4]), and two texts each."""

    images: np.ndarray
    sizes: np.ndarray
    boxes: dict[str, list[np.ndarray]]
    ids: list[str]
    values: list[str]
    title: str

    def sheet(self, columns: int = 6) -> np.ndarray:
        """All of it as one image uint8 [height, width, 3], at most `columns` in a line."""
        captions = [f"{name}  {value}" for name, value in zip(self.ids, self.values)]
        return contact_sheet(self.images, self.sizes, self.boxes, captions, self.title, columns)


def drawing(rows: list[dict], sort: str | None) -> Drawing:
    """What is drawn of rows, at most 60 of them; the values are those that they were sorted by, else labels.

    Raises: UsageError where there is none; DataError where a row has no image, or no size.
    """
    rows = rows[:MOST]
    if not rows:
        raise UsageError("no row is left to draw")
    values = [cell(field(row, sort)) if sort else cell(row.get("label")) for row in rows]
    title = f"{len(rows)} samples" + (f", highest {sort} first" if sort else "")
    sizes = image_sizes(rows)
    boxes = {role: box_lists(own) for role, own in objects_by_role(rows).items()}
    return Drawing(Images(rows).batch(np.arange(len(rows))), sizes, boxes, [row["id"] for row in rows], values, title)
