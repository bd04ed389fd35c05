"""The class names of boxes, drawn on an image inside their corners."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from htltools.core.figures.outlines import SHADE


def draw_names(
    image: Image.Image, boxes: np.ndarray, names: Sequence[str], colour: tuple[int, int, int], size: int, line: int, *, below: bool = False
) -> None:
    """Write the name of each box [B, 4] in pixels in its upper left corner, or its lower one, in letters of `size` pixels.

    Names lie inside of lines `line` pixels wide, or beside them where the box is small, and never outside of the image.
    """
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for box, name in zip(boxes, names):
        width, height = pen.textbbox((0, 0), name, font)[2:]
        x, y = box[0] + 2 * line, box[3] - height - 2 * line if below else box[1] + line
        x, y = (float(np.clip(each, 0, max(side - length, 0))) for each, side, length in zip((x, y), image.size, (width, height)))
        pen.text((x, y), name, colour, font, stroke_width=max(size // 8, 1), stroke_fill=SHADE)
