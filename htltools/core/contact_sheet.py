"""A contact sheet: small pictures with their boxes, in a grid, for a person to look at."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

COLOURS = {"annotated": (40, 200, 80), "dense": (60, 140, 255), "pruned": (255, 90, 40)}
TILE, CAPTION, GAP, HEADER = 208, 18, 8, 28  # pixels


def contact_sheet(
    pictures: np.ndarray, sizes: np.ndarray, boxes: dict[str, list[np.ndarray]], captions: list[str], title: str
) -> np.ndarray:
    """Pictures uint8 [N, H, W, 3], their original (width, height) [N, 2], boxes by role, [n, 4] for each picture as shares of the sides,
    and a caption each: one picture uint8 [rows, columns, 3]. Each keeps the proportions of its original.
    """
    columns = min(6, max(len(pictures), 3))
    lines = max(math.ceil(len(pictures) / columns), 1)
    tile = max((fitted(size)[1] for size in sizes), default=TILE)  # as high as the highest picture
    sheet = Image.new("RGB", (GAP + columns * (TILE + GAP), HEADER + lines * (tile + CAPTION + GAP) + GAP), (250, 250, 248))
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    draw_legend(pen, font, title, [role for role in COLOURS if role in boxes])
    for i, picture in enumerate(pictures):
        x, y = GAP + i % columns * (TILE + GAP), HEADER + i // columns * (tile + CAPTION + GAP)
        width, height = fitted(sizes[i])
        left, top = x + (TILE - width) // 2, y + (tile - height) // 2
        sheet.paste(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC), (left, top))
        for role, colour in COLOURS.items():
            for box in boxes[role][i] if role in boxes else ():
                x0, y0, x1, y1 = np.clip(box, 0, 1) * [width, height, width, height] + [left, top, left - 1, top - 1]
                pen.rectangle((x0, y0, max(x1, x0), max(y1, y0)), outline=colour, width=2)
        pen.text((x, y + tile + 1), captions[i][:34], fill=(40, 40, 40), font=font)
    return np.asarray(sheet)


def fitted(size: np.ndarray) -> tuple[int, int]:
    """The largest (width, height) of the proportions of `size` that fits a tile."""
    factor = TILE / max(size)
    return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)


def draw_legend(pen: ImageDraw.ImageDraw, font, title: str, roles: list[str]) -> None:
    """The title, and which colour is whose box."""
    pen.text((GAP, 7), title, fill=(20, 20, 20), font=font)
    x = GAP + pen.textlength(title, font=font) + 24
    for role in roles:
        pen.rectangle((x, 9, x + 12, 19), outline=COLOURS[role], width=2)
        pen.text((x + 17, 7), role, fill=(40, 40, 40), font=font)
        x += pen.textlength(role, font=font) + 36
