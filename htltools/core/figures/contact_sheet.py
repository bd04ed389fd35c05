"""A contact sheet: small images with their boxes in a grid."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

COLOURS = {"annotated": (40, 200, 80), "dense": (60, 140, 255), "pruned": (255, 90, 40)}
TILE, CAPTION, GAP, HEADER = 208, 18, 8, 28  # pixels


def contact_sheet(
    images: np.ndarray,
    sizes: np.ndarray,
    boxes: Mapping[str, Sequence[np.ndarray]],
    captions: list[str],
    title: str,
    columns: int = 6,
) -> np.ndarray:
    """The sheet, one image uint8 [rows, columns, 3], with at most `columns` tiles in a line.

    images: uint8 [N, H, W, 3]; sizes: (width, height) of the originals [N, 2], whose proportions tiles keep; boxes: by role those of
    each image, see `tile`; captions: [N].
    """
    columns = min(columns, max(len(images), 3))
    lines = max(math.ceil(len(images) / columns), 1)
    height = max((fitted_size(size)[1] for size in sizes), default=TILE)  # of the highest image
    sheet = Image.new("RGB", (GAP + columns * (TILE + GAP), HEADER + lines * (height + CAPTION + GAP) + GAP), (250, 250, 248))
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    draw_legend(pen, font, title, [role for role in COLOURS if role in boxes])
    for i, image in enumerate(images):
        x, y = GAP + i % columns * (TILE + GAP), HEADER + i // columns * (height + CAPTION + GAP)
        drawn = tile(image, sizes[i], {role: own[i] for role, own in boxes.items()})
        sheet.paste(drawn, (x + (TILE - drawn.width) // 2, y + (height - drawn.height) // 2))
        pen.text((x, y + height + 1), captions[i][:34], fill=(40, 40, 40), font=font)
    return np.asarray(sheet)


def tile(image: np.ndarray, size: np.ndarray, boxes: Mapping[str, np.ndarray], side: int = TILE, line: int = 2) -> Image.Image:
    """An image uint8 [H, W, 3] in the proportions of its original (width, height), with a longer side of `side` pixels, and the
    outlines of its boxes, `line` pixels wide: by role [B, 4] or [4], shares of the sides, NaN = none. The outline of a box that it
    would fill lies outside of it.
    """
    width, height = fitted_size(size, side)
    drawn = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(drawn)
    for role, colour in COLOURS.items():
        for box in np.reshape(boxes.get(role, []), (-1, 4)):
            if np.isfinite(box).all():
                x0, y0, x1, y1 = np.clip(box, 0, 1) * [width, height, width, height] - [0, 0, 1, 1]
                if min(x1 - x0, y1 - y0) < 4 * line:
                    x0, y0, x1, y1 = x0 - line, y0 - line, x1 + line, y1 + line
                pen.rectangle((x0, y0, max(x1, x0), max(y1, y0)), outline=colour, width=line)
    return drawn


def fitted_size(size: np.ndarray, side: int = TILE) -> tuple[int, int]:
    """The largest (width, height) of the proportions of `size` that fits a square of `side`."""
    factor = side / max(size)
    return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)


def draw_legend(pen: ImageDraw.ImageDraw, font, title: str, roles: list[str]) -> None:
    """Draw the title, and the colour of each role."""
    pen.text((GAP, 7), title, fill=(20, 20, 20), font=font)
    x = GAP + pen.textlength(title, font=font) + 24
    for role in roles:
        pen.rectangle((x, 9, x + 12, 19), outline=COLOURS[role], width=2)
        pen.text((x + 17, 7), role, fill=(40, 40, 40), font=font)
        x += pen.textlength(role, font=font) + 36
