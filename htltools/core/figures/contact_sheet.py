"""A contact sheet: small images with their boxes in a grid."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from htltools.core.figures.box_names import draw_names
from htltools.core.figures.outlines import COLOURS, draw_boxes

TILE, CAPTION, GAP, HEADER = 208, 18, 8, 28  # pixels
LETTERS = 11  # pixels, of class names


def contact_sheet(
    images: np.ndarray,
    sizes: np.ndarray,
    boxes: Mapping[str, Sequence[np.ndarray]],
    captions: list[str],
    title: str,
    columns: int = 6,
    names: Mapping[str, Sequence[Sequence[str]]] | None = None,
) -> np.ndarray:
    """The sheet, one image uint8 [rows, columns, 3], with at most `columns` tiles in a line.

    images: uint8 [N, H, W, 3]; sizes: (width, height) of the originals [N, 2], whose proportions tiles keep; boxes: by role those of
    each image, see `tile`; names: the class of each box, by role, of roles that are named; captions: [N], of which as much is written as
    fits the width of a tile.
    """
    columns = min(columns, max(len(images), 3))
    lines = max(math.ceil(len(images) / columns), 1)
    height = max((fitted_size(size)[1] for size in sizes), default=TILE)  # of the highest image
    sheet = Image.new("RGB", (GAP + columns * (TILE + GAP), HEADER + lines * (height + CAPTION + GAP) + GAP), (250, 250, 248))
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    draw_legend(sheet, font, title, [role for role in COLOURS if role in boxes])
    for i, image in enumerate(images):
        x, y = GAP + i % columns * (TILE + GAP), HEADER + i // columns * (height + CAPTION + GAP)
        drawn = tile(image, sizes[i], {role: own[i] for role, own in boxes.items()})
        for role, own in (names or {}).items():
            places = boxes[role][i] * np.tile(drawn.size, 2)
            draw_names(drawn, places, own[i], COLOURS[role], LETTERS, 2, below=role == "annotated")
        sheet.paste(drawn, (x + (TILE - drawn.width) // 2, y + (height - drawn.height) // 2))
        pen.text((x, y + height + 1), cut_text(captions[i], font, TILE), fill=(40, 40, 40), font=font)
    return np.asarray(sheet)


def tile(
    image: np.ndarray, size: np.ndarray, boxes: Mapping[str, np.ndarray], side: int = TILE, line: int = 2, shade: int = 1
) -> Image.Image:
    """An image uint8 [H, W, 3] in the proportions of its original (width, height), with a longer side of `side` pixels, and the
    outlines of its boxes, `line` pixels wide, with a shade around them: by role [B, 4] or [4], shares of the sides, NaN = none. The
    outline of a box that it would fill lies outside of it.
    """
    width, height = fitted_size(size, side)
    drawn = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    inside: dict[str, np.ndarray] = {}
    for role in COLOURS:
        own = np.reshape(boxes.get(role, []), (-1, 4))
        own = np.clip(own[np.isfinite(own).all(1)], 0, 1) * [width, height, width, height]
        thin = (own[:, 2:] - own[:, :2]).min(1, initial=np.inf) < 4 * line + 1
        inside[role] = own + thin[:, None] * line * np.array([-1, -1, 1, 1])
    draw_boxes(drawn, inside, line, shade)
    return drawn


def fitted_size(size: np.ndarray, side: int = TILE) -> tuple[int, int]:
    """The largest (width, height) of the proportions of `size` that fits a square of `side`."""
    factor = side / max(size)
    return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)


def cut_text(text: str, font, width: float) -> str:
    """As much of a text as fits that many pixels, with an ellipsis where some is left out."""
    if font.getlength(text) <= width:
        return text
    kept = next((end for end in range(len(text) - 1, 0, -1) if font.getlength(text[:end].rstrip() + "\N{HORIZONTAL ELLIPSIS}") <= width), 0)
    return text[:kept].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def draw_legend(sheet: Image.Image, font, title: str, roles: list[str]) -> None:
    """Draw the title, and the line of each role."""
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, 7), title, fill=(20, 20, 20), font=font)
    x = round(GAP + pen.textlength(title, font=font) + 24)
    for role in roles:
        draw_boxes(sheet, {role: np.array([[x, 7, x + 22, 21]])}, 2, 1)
        pen.text((x + 28, 7), role, fill=(40, 40, 40), font=font)
        x += round(pen.textlength(role, font=font)) + 46
