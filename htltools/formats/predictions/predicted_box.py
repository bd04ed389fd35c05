"""Predicted boxes of one sample, as files of predictions have them."""

from dataclasses import dataclass

from htltools.formats.rows.row import Box, Row
from htltools.formats.rows.schema import OBJECT


@dataclass(frozen=True)
class PredictedBox:
    """A predicted box, in pixels of the original image; label: its class; score: of a detector, in (0, 1], else None; doubt: if known."""

    box: Box
    label: str
    score: float | None
    doubt: float | None


def predicted_boxes(row: Row, column: str | None, role: str = "dense") -> list[PredictedBox]:
    """The boxes that a role predicts for a row. Their doubt: of several objects that of each, else the row's `hardness` in that column."""
    doubt = row.hardness.get(column) if column else None
    if objects := row.detected.get(role):
        doubts = objects.get("doubts") or [doubt] * len(objects["boxes"])
        return [PredictedBox(*each) for each in zip(objects["boxes"], objects["labels"], objects["scores"], doubts)]
    box = row.predicted.get(role)
    return [PredictedBox(box, OBJECT, None, doubt)] if box else []
