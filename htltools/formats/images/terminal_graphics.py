"""Images as escape sequences for terminals: the protocols of kitty and iTerm2, and sixel. None of them queries the terminal."""

import re
from base64 import standard_b64encode
from io import BytesIO
from itertools import groupby

import numpy as np
from PIL import Image

CHUNK = 4096  # base64 characters in one escape sequence of kitty
SIXEL_COLOURS = 256
SIXEL_COLUMN = 8  # pixels of a column of text: few terminals have narrower ones


def kitty(rgb: np.ndarray, columns: int) -> str:
    """An image uint8 [H, W, 3] by the graphics protocol of kitty, scaled to a width in columns of text."""
    data = standard_b64encode(png_bytes(rgb)).decode()
    parts = [data[i : i + CHUNK] for i in range(0, len(data), CHUNK)]
    first = f"a=T,f=100,q=2,c={columns},"  # transmit and show a PNG, without a response
    return "".join(f"\x1b_G{'' if i else first}m={int(i + 1 < len(parts))};{part}\x1b\\" for i, part in enumerate(parts)) + "\n"


def iterm(rgb: np.ndarray, columns: int) -> str:
    """An image uint8 [H, W, 3] as an inline image of iTerm2, scaled to a width in columns of text."""
    data = png_bytes(rgb)
    return f"\x1b]1337;File=inline=1;size={len(data)};width={columns}:{standard_b64encode(data).decode()}\x07\n"


def sixel(rgb: np.ndarray, columns: int) -> str:
    """An image uint8 [H, W, 3] as sixels in at most 256 colours, no wider than its own pixels or 8 for each column of text.

    Six lines of pixels are a band; in a band each colour has a character for each pixel column, whose six bits are the lines.
    """
    image = Image.fromarray(rgb)
    width = min(image.width, SIXEL_COLUMN * columns)
    image = image.resize((width, max(round(image.height * width / image.width), 1)), Image.Resampling.LANCZOS)
    image = image.quantize(SIXEL_COLOURS, dither=Image.Dither.NONE)
    indices, palette = np.asarray(image), np.array(image.getpalette()).reshape(-1, 3)
    written = [f'\x1bPq"1;1;{image.width};{image.height}']
    written += [f"#{i};2;{r};{g};{b}" for i, (r, g, b) in enumerate((palette * 100 / 255).round().astype(int))]
    for top in range(0, len(indices), 6):
        band = indices[top : top + 6]
        bits = 1 << np.arange(len(band))[:, None]
        lines = [f"#{colour}{run_lengths(((band == colour) * bits).sum(0))}" for colour in np.unique(band)]
        written.append("$".join(lines) + "-")
    return "".join(written) + "\x1b\\\n"


def run_lengths(bits: np.ndarray) -> str:
    """Sixels of one colour from their bits [W], repeated characters as a count."""
    text = "".join(chr(63 + bit) for bit in bits)
    text = re.sub("\\?+$", "", text)
    runs = [(len(list(run)), character) for character, run in groupby(text)]
    return "".join(f"!{count}{character}" if count > 3 else character * count for count, character in runs)


def png_bytes(rgb: np.ndarray) -> bytes:
    """An image uint8 [H, W, 3] as the bytes of a PNG."""
    file = BytesIO()
    Image.fromarray(rgb).save(file, format="PNG")
    return file.getvalue()
