"""Boxes from the cells of a table, in four columns or in one, and what looks wrong in them."""

import re
from collections.abc import Sequence

import numpy as np

from htltools.errors import DataError
from htltools.formats.csv.text import Table
from htltools.formats.rows.objects import SIDE

NUMBERS = re.compile(r"(?<![A-Za-z_\d.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
KEY = re.compile(r"['\"]?([A-Za-z][A-Za-z0-9_]*)['\"]?\s*:")
ORDERS = {
    "xywh": (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height")),
    "xyxy": (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("x0", "y0", "x1", "y1"), ("left", "top", "right", "bottom")),
}
FEW = 3  # boxes that begin at pixel 1 where none begins at 0

Boxes = list[list[list[float]]]  # of each row of a table


def boxes_of(table: Table, names: Sequence[str], box_format: str) -> Boxes:
    """The boxes [x0, y0, x1, y1] of each row: one from four columns, or those in one cell.

    Raises: DataError where cells hold something else than numbers.
    """
    if len(names) == 1:
        return [cell_boxes(cell, box_format, table, row) for row, cell in enumerate(table.cells[names[0]])]
    columns = [table.cells[name] for name in names]
    rows = [row for row, cells in enumerate(zip(*columns, strict=True)) if any(cells)]
    try:
        numbers = np.array([[float(column[row]) for row in rows] for column in columns]).T
    except ValueError:
        numbers = np.full((len(rows), 4), np.nan)
    if not (np.abs(numbers) <= SIDE).all():
        row = next(row for row in rows if not all(is_edge(column[row]) for column in columns))
        raise DataError(f"{table.place(row)}: the box {','.join(column[row] for column in columns)} is not four numbers")
    boxes: Boxes = [[] for _ in table.lines]
    for row, box in zip(rows, corners(numbers, box_format).tolist(), strict=True):
        boxes[row].append(box)
    return boxes


def is_edge(cell: str) -> bool:
    """Whether a cell is a number of a box."""
    try:
        return abs(float(cell)) <= SIDE
    except ValueError:
        return False


def cell_boxes(cell: str, box_format: str, table: Table, row: int) -> list[list[float]]:
    """The boxes in one cell, such as "[x, y, w, h]", "1 2 3 4" or "[{'x': 1, 'y': 2, 'width': 3, 'height': 4}]", whose keys
    say the format.

    Raises: DataError where it does not hold four numbers, or eight, and so on.
    """
    keys = [key.lower().replace("_", "") for key in KEY.findall(cell)]
    numbers = [float(number) for number in NUMBERS.findall(KEY.sub(" ", cell))]
    if len(numbers) % 4 or not all(abs(number) <= SIDE for number in numbers) or (cell.strip("[](){} ") and not numbers):
        raise DataError(f"{table.place(row)}: the box {cell} is not four numbers")
    if not keys:
        return corners(np.array(numbers).reshape(-1, 4), box_format).tolist()
    orders = [(name, order) for name, each in ORDERS.items() for order in each if set(order) == set(keys[:4])]
    if not orders or len(keys) != len(numbers):
        raise DataError(f"{table.place(row)}: the box {cell} has no x, y, width and height, nor corners")
    box_format, order = orders[0]
    sets = [dict(zip(keys[i : i + 4], numbers[i : i + 4], strict=True)) for i in range(0, len(keys), 4)]
    return corners(np.array([[each[key] for key in order] for each in sets]), box_format).tolist()


def corners(boxes: np.ndarray, box_format: str) -> np.ndarray:
    """Boxes B x 4 of a format as corners [x0, y0, x1, y1], the last exclusive.

    >>> corners(np.array([[1.0, 2, 3, 4]]), "xywh").tolist(), corners(np.array([[1.0, 1, 3, 4]]), "voc").tolist()
    ([[1.0, 2.0, 4.0, 6.0]], [[0.0, 0.0, 3.0, 4.0]])
    """
    first, second = boxes[:, :2], boxes[:, 2:]
    match box_format:
        case "xywh":
            return np.hstack([first, first + second])
        case "cxcywh":
            return np.hstack([first - second / 2, first + second / 2])
        case "voc":
            return np.hstack([first - 1, second])
    return boxes


def are_shares(boxes: np.ndarray) -> bool:
    """Whether boxes B x 4 can only be shares of the image's sides: none is larger than a pixel.

    >>> are_shares(np.array([[0.1, 0.2, 0.5, 1]])), are_shares(np.array([[0, 0, 5, 1]]))
    (True, False)
    """
    return bool(len(boxes) and boxes.min() >= -0.01 and boxes.max() <= 1.01 and (boxes % 1).any())


def doubts_of_boxes(boxes: np.ndarray, box_format: str, source: str, frames: np.ndarray) -> list[str]:
    """What looks wrong in all boxes B x 4 of a table, in pixels. frames: width and height of each one's image, or NaN.

    >>> doubts_of_boxes(np.array([[1, 1, 40, 30.0]]), "xyxy", "b.csv", np.full((1, 2), np.nan))[0][:54]
    'boxes of b.csv seem to count pixels from 1 and to incl'
    """
    if not len(boxes):
        return []
    doubts = []
    first, last = boxes[:, :2], boxes[:, 2:]
    ones = (first == 1).any(1).sum()
    counted = box_format == "xyxy" and not (boxes % 1).any() and not (first == 0).any()
    if counted and (ones >= FEW or (first == 1).all(1).any()):
        doubts.append(
            f"boxes of {source} seem to count pixels from 1 and to include the last one, as Pascal VOC does: "
            f"{ones} begin at 1 and none at 0; --box-format voc reads them so"
        )
    inverted = int((last <= first).any(1).sum())
    if inverted and box_format in ("xyxy", "voc"):
        hint = "; --box-format xywh reads a corner, width and height" if box_format == "xyxy" else ""
        doubts.append(f"{inverted} boxes of {source} end before they begin{hint}")
    framed = np.isfinite(frames).all(1)
    if framed.sum() >= FEW * 3 and (last[framed] <= frames[framed] / 2).all():
        doubts.append(f"all boxes of {source} lie in the upper left quarter of their images: are they of smaller ones? See --box-frame")
    return doubts
