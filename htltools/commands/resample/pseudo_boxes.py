"""Pseudo-boxes: predictions that take the place of an annotation."""

import numpy as np

from htltools.core.geometry.boxes import area
from htltools.formats.rows.row import Row


def with_pseudo_box(row: Row) -> Row:
    """A row of split train that is not annotated, with the mean of its predicted boxes as its box; any other row unchanged.

    The mean is over roles, dense and pruned; of models that find several objects, those of the dense one are taken. Pseudo-boxes
    of an earlier round are replaced. A row without a prediction, or with none that has an area, stays as it is.
    """
    if row.split != "train" or (row.is_known and not row.is_pseudo):
        return row
    if detected := row.detected.get("dense"):
        objects = [(box, label) for box, label in zip(detected["boxes"], detected["labels"]) if area(box) > 0]
        return row.changed(boxes=[box for box, _ in objects], labels=[label for _, label in objects], pseudo=True) if objects else row
    if not row.predicted:
        return row
    box = np.mean(list(row.predicted.values()), 0).round(2)
    return row.changed(boxes=[box.tolist()], pseudo=True) if area(box) > 0 else row
