"""Predictions as COCO results, a JSON list of {image_id, file_name, category_id, category, bbox, score}."""

from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

from htltools.formats.predictions.predicted_box import predicted_boxes
from htltools.formats.rows.jsonlines import compact_json
from htltools.formats.rows.row import Row


class CocoResults:
    """A list of results, written as they come. image_id is the id of the row; categories count from 1, in the order of `classes`.

    A box without a score of its own has 1 - doubt, or 1 where no doubt is known.
    """

    def __init__(self, file: BinaryIO, classes: Sequence[str], column: str | None):
        self.file, self.column = file, column
        self.number = {name: number for number, name in enumerate(classes, 1)}
        self.between = b"["

    def write(self, rows: Iterable[Row]) -> None:
        """Write the results of some rows, a line each."""
        for row in rows:
            for result in self.results(row):
                self.file.write(self.between + b"\n" + compact_json(result))
                self.between = b","

    def results(self, row: Row) -> Iterable[dict[str, Any]]:
        """The results of a row."""
        for each in predicted_boxes(row, self.column):
            x0, y0, x1, y1 = each.box
            score = each.score if each.score is not None else 1 - (each.doubt or 0)
            yield {
                "image_id": row.id,
                "file_name": row.get("file", row.id),
                "category_id": self.number[each.label],
                "category": each.label,
                "bbox": [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)],
                "score": round(min(max(score, 0), 1), 6),
            }

    def close(self) -> None:
        """End the list."""
        self.file.write(b"[]\n" if self.between == b"[" else b"\n]\n")
