"""An image with its predicted and its annotated boxes, and a line of text."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from htltools.core.figures.box_names import draw_names
from htltools.core.figures.contact_sheet import fitted_size
from htltools.core.figures.outlines import COLOURS, SHADE, draw_boxes

PREDICTED, ANNOTATED = COLOURS["dense"], COLOURS["annotated"]
LARGEST = 2048  # pixels of the longer side


def overlay(
    image: np.ndarray, predicted: np.ndarray, annotated: np.ndarray, text: str, names: Sequence[str] = (), classes: Sequence[str] = ()
) -> np.ndarray:
    """An image uint8 [h, w, 3] with predicted boxes [B, 4] in blue and annotated ones [A, 4] in white dashes, shares of the sides.

    text: at the top; names: of the predicted boxes, none or B; classes: of the annotated ones, none or A. An image of more than 2048 pixels
    a side is made smaller.
    """
    drawn = Image.fromarray(image)
    if max(drawn.size) > LARGEST:
        drawn = drawn.resize(fitted_size(np.array(drawn.size), LARGEST), Image.Resampling.BILINEAR)
    line, size = max(round(max(drawn.size) / 300), 2), max(round(max(drawn.size) / 40), 11)
    sides = np.tile(drawn.size, 2)
    draw_boxes(drawn, {"dense": predicted * sides, "annotated": annotated * sides}, line, 1)
    draw_names(drawn, annotated * sides, classes, ANNOTATED, size, line, below=True)
    draw_names(drawn, predicted * sides, names, PREDICTED, size, line)
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(size)
    pen.text((2 * line, line), text, (255, 255, 255), font, stroke_width=2, stroke_fill=SHADE)
    return np.asarray(drawn)
