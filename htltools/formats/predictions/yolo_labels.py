"""Predictions as YOLO labels: a text file for each sample, a line for each box, and the names of the classes in data.yaml."""

from collections.abc import Sequence
from pathlib import Path

from htltools.formats.files.atomic import replacing
from htltools.formats.predictions.output_folder import OutputFolder
from htltools.formats.predictions.predicted_box import predicted_boxes
from htltools.formats.rows.jsonlines import compact_json
from htltools.formats.rows.row import Row


class YoloLabels:
    """Files labels/ID.txt below a folder; of an image without a predicted box an empty one.

    Raises: CannotCreate where the folder holds something already, unless `force`.
    """

    def __init__(self, folder: Path, classes: Sequence[str], *, force: bool):
        OutputFolder(folder, "", force=force)
        self.labels = OutputFolder(folder / "labels", ".txt", force=force)
        self.number = {name: number for number, name in enumerate(classes)}
        names = b"names:\n" + b"".join(b"  %d: %s\n" % (number, compact_json(name)) for name, number in self.number.items())
        with replacing(folder / "data.yaml") as temporary:
            temporary.write_bytes(b"path: .\ntrain: images\nval: images\n" + names)

    def write(self, row: Row) -> None:
        """Write the file of a row: class, centre x and y, width and height as shares of the sides."""
        width, height = row.size or [1, 1]
        lines = []
        for each in predicted_boxes(row, None):
            x0, y0, x1, y1 = (edge / side for edge, side in zip(each.box, (width, height) * 2))
            numbers = (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
            lines.append(f"{self.number[each.label]} " + " ".join(f"{number:.6f}" for number in numbers) + "\n")
        with replacing(self.labels.path_of(row.id)) as temporary:
            temporary.write_text("".join(lines))
