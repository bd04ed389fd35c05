"""Rows as images with their boxes: the contact sheet of `view --sheet`, and the images of `view --thumbnails`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from htltools.core.figures.contact_sheet import contact_sheet
from htltools.errors import UsageError
from htltools.formats.rows.fields import cell, field
from htltools.formats.rows.row import Row
from htltools.formats.store.shard import Images
from htltools.tasks.role_objects import box_lists, objects_by_role
from htltools.tasks.rows import image_sizes

MOST = 60  # images of a sheet


@dataclass
class Drawing:
    """Images, boxes and captions of N rows."""

    images: np.ndarray  # uint8 [N, H, W, 3]
    sizes: np.ndarray  # [N, 2], width and height of the original images
    boxes: dict[str, list[np.ndarray]]  # by role, N arrays [B, 4]
    ids: list[str]
    values: list[str]
    title: str

    def sheet(self, columns: int = 6) -> np.ndarray:
        """All of it as one image uint8 [height, width, 3], at most `columns` in a line."""
        captions = ["  ".join(filter(None, caption)) for caption in zip(self.values, self.ids)]  # the value is never cut
        return contact_sheet(self.images, self.sizes, self.boxes, captions, self.title, columns)


def drawing(rows: Sequence[Row], sort: str | None) -> Drawing:
    """The drawing of at most 60 rows; the values are those that they were sorted by, else their labels.

    Raises: UsageError where there is no row; DataError where one has no image, or no size.
    """
    rows = rows[:MOST]
    if not rows:
        raise UsageError("no row is left to draw")
    values = [cell(field(row, sort) if sort else row.label) for row in rows]
    title = f"{len(rows)} samples" + (f", highest {sort} first" if sort else "")
    boxes = {role: box_lists(objects) for role, objects in objects_by_role(rows).items()}
    return Drawing(Images(rows).batch(np.arange(len(rows))), image_sizes(rows), boxes, [row.id for row in rows], values, title)
