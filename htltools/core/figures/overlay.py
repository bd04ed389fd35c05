"""An image with its predicted and its annotated boxes, and a line of text."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from htltools.core.figures.contact_sheet import fitted_size

# orange and sky blue of Okabe and Ito, which people tell apart who do not see red or green; dashes tell them apart without any colour
PREDICTED, ANNOTATED, SHADE = (230, 159, 0), (86, 180, 233), (0, 0, 0)
LARGEST = 2048  # pixels of the longer side
DASH = 4  # widths of a line


def overlay(image: np.ndarray, predicted: np.ndarray, annotated: np.ndarray, text: str, names: Sequence[str] = ()) -> np.ndarray:
    """An image uint8 [h, w, 3] with predicted boxes [B, 4] in orange and annotated ones [A, 4] in dashes of sky blue, shares of the sides.

    text: at the top; names: of the predicted boxes, none or B. An image of more than 2048 pixels a side is made smaller.
    """
    drawn = Image.fromarray(image)
    if max(drawn.size) > LARGEST:
        drawn = drawn.resize(fitted_size(np.array(drawn.size), LARGEST), Image.Resampling.BILINEAR)
    pen, line = ImageDraw.Draw(drawn), max(round(max(drawn.size) / 300), 2)
    font = ImageFont.load_default(max(round(max(drawn.size) / 40), 11))
    sides = np.tile(drawn.size, 2)
    for box in annotated * sides:
        outline(pen, box, ANNOTATED, line, dashed=True)
    for i, box in enumerate(predicted * sides):
        outline(pen, box, PREDICTED, line)
        if names:
            pen.text((box[0] + 2 * line, box[1] + line), names[i], PREDICTED, font, stroke_width=2, stroke_fill=SHADE)
    pen.text((2 * line, line), text, (255, 255, 255), font, stroke_width=2, stroke_fill=SHADE)
    return np.asarray(drawn)


def outline(pen: ImageDraw.ImageDraw, box: np.ndarray, colour: tuple[int, int, int], line: int, *, dashed: bool = False) -> None:
    """Draw a box [4] in pixels, with a dark shade around its line, in dashes if asked for."""
    x0, y0, x1, y1 = box - [0, 0, 1, 1]
    corners = (x0, y0), (x1, y0), (x1, y1), (x0, y1)
    for width, paint in ((line + 2, SHADE), (line, colour)):
        for start, end in zip(corners, (*corners[1:], corners[0])):
            for piece in dashes(np.array(start), np.array(end), DASH * line) if dashed else [(start, end)]:
                pen.line([tuple(map(float, point)) for point in piece], paint, width)


def dashes(start: np.ndarray, end: np.ndarray, length: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Every other piece of a line from start to end, of about that length."""
    count = max(int(np.abs(end - start).max() // length) | 1, 1)  # odd: the line begins and ends with a dash
    places = start + (end - start) * np.linspace(0, 1, count + 1)[:, None]
    return [(places[i], places[i + 1]) for i in range(0, count, 2)]
