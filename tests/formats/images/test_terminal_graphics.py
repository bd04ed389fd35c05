"""Images amid the text of a terminal."""

import io
import re
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from htltools.formats.images.terminal_graphics import iterm, kitty, sixel

NOISE = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
FLAGS = np.zeros((14, 40, 3), np.uint8)
FLAGS[:7, :20], FLAGS[7:, 5:], FLAGS[13, 39] = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def pixels_of(data: str) -> np.ndarray:
    """The image in base64."""
    return np.asarray(Image.open(io.BytesIO(b64decode(data))))


def drawn_sixels(text: str) -> np.ndarray:
    """The image that a terminal draws from sixels, by the VT330 manual: uint8 [H, W, 3]."""
    head, width, height, body = re.fullmatch(r'\x1bP(q)"1;1;(\d+);(\d+)(.*)\x1b\\\n', text, re.S).groups()
    image, palette = np.full((int(height) + 6, int(width), 3), 77, np.uint8), {}
    top = left = 0
    for number, rgb, count, sign in re.findall(r"#(\d+)(;2;\d+;\d+;\d+)?|(?:!(\d+))?([?-~$-])", body):
        if rgb:
            palette[number] = [round(int(part) * 2.55) for part in rgb.split(";")[2:]]
        elif number:
            colour = palette[number]
        elif sign == "-":
            top, left = top + 6, 0
        elif sign == "$":
            left = 0
        else:
            for bit in range(6):
                if (ord(sign) - 63) >> bit & 1:
                    image[top + bit, left : left + int(count or 1)] = colour
            left += int(count or 1)
    return image[: int(height)]


def test_kitty_gets_a_png_in_chunks_and_sends_no_response():
    """The chunks, of 4096 characters at most and all but the last marked, join to the image; the terminal sends no response."""
    chunks = re.findall("\x1b_G(.*?);(.*?)\x1b\\\\", kitty(NOISE, 40))
    assert chunks[0][0] == "a=T,f=100,q=2,c=40,m=1"
    assert [keys for keys, _ in chunks[1:]] == ["m=1"] * (len(chunks) - 2) + ["m=0"]
    assert len(chunks) > 2 and max(len(data) for _, data in chunks) == 4096
    assert (pixels_of("".join(data for _, data in chunks)) == NOISE).all()


def test_iterm_gets_a_png():
    """The image stands in one sequence, with its size and its width in columns."""
    size, data = re.fullmatch("\x1b]1337;File=inline=1;size=(\\d+);width=30:(.*)\x07\n", iterm(NOISE, 30)).groups()
    assert len(b64decode(data)) == int(size)
    assert (pixels_of(data) == NOISE).all()


def test_sixels_draw_the_image():
    """An image of few colours is drawn exactly, also where its height is no multiple of six."""
    assert (drawn_sixels(sixel(FLAGS, 5)) == FLAGS).all()


@pytest.mark.parametrize("columns, shape", [(5, (33, 40, 3)), (80, (50, 60, 3))])
def test_sixels_fit_the_width_and_have_no_hole(columns, shape):
    """Eight pixels for each column at most, the proportions kept; every pixel is painted, about as it was."""
    drawn = drawn_sixels(sixel(NOISE, columns))
    assert drawn.shape == shape
    assert abs(drawn.mean() - NOISE.mean()) < 8
