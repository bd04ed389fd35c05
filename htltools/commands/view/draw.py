"""Rows as images with their boxes: the contact sheet of `view --sheet`, and the images of `view --thumbnails`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from htltools.core.figures.contact_sheet import contact_sheet
from htltools.errors import UsageError
from htltools.formats.rows.fields import cell, field
from htltools.formats.rows.row import Row
from htltools.formats.store.shard import Images
from htltools.tasks.role_objects import box_lists, class_names, name_lists, objects_by_role
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
    classes: dict[str, list[list[str]]]  # by role, of each box; empty where all boxes are of one class

    def sheet(self, columns: int = 6) -> np.ndarray:
        """All of it as one image uint8 [height, width, 3], at most `columns` in a line."""
        captions = ["  ".join(filter(None, caption)) for caption in zip(self.values, self.ids)]  # the value is never cut
        found = next((role for role in self.classes if role != "annotated"), None)  # of further roles there is no room for names
        named = {role: own for role, own in self.classes.items() if role in ("annotated", found)}
        return contact_sheet(self.images, self.sizes, self.boxes, captions, self.title, columns, named)

    def counts(self, i: int) -> str:
        """How many boxes of each class the i-th image has: the annotated ones, or else those of the first role; empty of one class."""
        own = next((names[i] for names in self.classes.values() if names[i]), [])
        return ", ".join(f"{count} {name}" if count > 1 else name for name, count in Counter(own).items())


def drawing(rows: Sequence[Row], sort: str | None, order: str = "") -> Drawing:
    """The drawing of at most 60 rows; the values are those that they were sorted by, else their labels. order: in words.

    Raises: UsageError where there is no row; DataError where one has no image, or no size.
    """
    rows = rows[:MOST]
    if not rows:
        raise UsageError("no row is left to draw")
    values = [cell(field(row, sort) if sort else row.label) for row in rows]
    title = f"{len(rows)} samples" + (f", {order}" if order else "")
    by_role, names = objects_by_role(rows), class_names(rows)
    boxes = {role: box_lists(objects) for role, objects in by_role.items()}
    classes = {role: name_lists(objects, names) for role, objects in by_role.items()}
    several = len({name for own in classes.values() for each in own for name in each}) > 1
    images = Images(rows).batch(np.arange(len(rows)))
    return Drawing(images, image_sizes(rows), boxes, [row.id for row in rows], values, title, classes if several else {})
