"""The colours and the dashes of boxes by role, and how they are drawn on an image.

Colours are near to those of Okabe and Ito, and people who do not see red or green tell them apart; dashes tell them apart without colour.
"""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

SHADE = (0, 0, 0)
# in the order in which they are drawn: where boxes coincide, the gaps of dashes show what is below them
COLOURS = {"dense": (63, 169, 245), "attended": (204, 121, 167), "pruned": (232, 89, 12), "annotated": (255, 255, 255)}
DASHES = {"dense": 0, "attended": 7, "pruned": 1, "annotated": 4}  # widths of a line that a dash, and the gap after it, is long; 0: no gaps


def draw_boxes(image: Image.Image, boxes: Mapping[str, np.ndarray], line: int, shade: int) -> None:
    """Draw boxes [B, 4] in pixels by role on an image, with lines `line` wide and a shade that is wider by `shade` on both sides."""
    pen = ImageDraw.Draw(image)
    for own in boxes.values():
        for box in own:
            x0, y0, x1, y1 = corners(box)
            pen.rectangle((x0 - shade, y0 - shade, x1 + shade, y1 + shade), outline=SHADE, width=line + 2 * shade)
    for role in (role for role in COLOURS if role in boxes):
        for box in boxes[role]:
            draw_outline(pen, corners(box), COLOURS[role], line, DASHES[role])


def corners(box: np.ndarray) -> tuple[int, int, int, int]:
    """The first and the last column and row of the pixels of a box [4], whose ends are exclusive; of each at least one."""
    x0, y0, x1, y1 = (round(float(place)) for place in box)
    return x0, y0, max(x1 - 1, x0), max(y1 - 1, y0)


def draw_outline(pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], colour: tuple[int, int, int], line: int, dash: int) -> None:
    """Draw the outline of a box, inside of it, in dashes of `dash` widths of the line; 0: without gaps."""
    x0, y0, x1, y1 = box
    if not dash:
        pen.rectangle(box, outline=colour, width=line)
        return
    for first, last in dashes(x0, x1, dash * line):
        pen.rectangle((first, y0, last, min(y0 + line - 1, y1)), fill=colour)
        pen.rectangle((first, max(y1 - line + 1, y0), last, y1), fill=colour)
    for first, last in dashes(y0, y1, dash * line):
        pen.rectangle((x0, first, min(x0 + line - 1, x1), last), fill=colour)
        pen.rectangle((max(x1 - line + 1, x0), first, x1, last), fill=colour)


def dashes(first: int, last: int, length: int) -> list[tuple[int, int]]:
    """The first and last pixel of dashes of about that length, with gaps as long, on a line that begins and ends with one.

    >>> dashes(0, 9, 2), dashes(5, 6, 4)
    ([(0, 1), (4, 5), (8, 9)], [(5, 6)])
    """
    pixels = last - first + 1
    count = max(round(pixels / length), 1)
    count -= count % 2 == 0
    ends = [first + round(pixels * place / count) for place in range(count + 1)]
    return [(ends[i], ends[i + 1] - 1) for i in range(0, count, 2)]
