"""Brush masks of Label Studio: pixels RGBA, packed as the library rle-pack of thi.ng packs bytes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from htltools.formats.tables.outlines import runs_of_mask

CHANNELS, ALPHA = 4, 3
COUNT_BITS, WORD_BITS, SIZE_BITS, CHOICE_BITS = 32, 5, 4, 2  # of the fields of the head, and of the choice of a length's size


class Bits:
    """Whole numbers in a row of bits, the highest first."""

    def __init__(self, data: bytes):
        self.data, self.place = data, 0

    def number(self, bits: int) -> int:
        """The next number, of so many bits.

        Raises: ValueError where there are not so many left.
        """
        end = self.place + bits
        last = -(-end // 8)
        if last > len(self.data):
            raise ValueError("its brush mask is cut short")
        whole = int.from_bytes(self.data[self.place // 8 : last])
        self.place = end
        return whole >> (last * 8 - end) & ((1 << bits) - 1)


def unpacked(data: bytes, count: int) -> np.ndarray:
    """The `count` bytes that are packed: uint8 [count].

    A head says how many there are, the bits of one less 1, and four sizes of lengths. Then come runs: one bit says whether a value is
    repeated, two choose the size of the length, which is given less 1, and the value follows, or as many values as the length says.

    >>> unpacked(bytes([0, 0, 0, 4, 57, 27, 252, 127, 224]), 4).tolist()
    [255, 255, 255, 255]

    Raises: ValueError where it is another number, or damaged.
    """
    bits = Bits(data)
    declared, word = bits.number(COUNT_BITS), bits.number(WORD_BITS) + 1
    if declared != count or word != 8:
        raise ValueError("its brush mask is of another size than its image")
    sizes = [bits.number(SIZE_BITS) + 1 for _ in range(4)]
    values, filled = np.zeros(count, np.uint8), 0
    while filled < count:
        repeated = bits.number(1)
        end = filled + 1 + bits.number(sizes[bits.number(CHOICE_BITS)])
        if end > count:
            raise ValueError("its brush mask is damaged")
        values[filled:end] = bits.number(word) if repeated else [bits.number(word) for _ in range(end - filled)]
        filled = end
    return values


def brush_outline(rle: Any, frame: tuple[float, float] | None) -> dict[str, Any]:
    """The run lengths, as COCO has them, of a brush mask in an image of (width, height): of the pixels that are not transparent.

    Raises: ValueError with a short reason.
    """
    if not frame:
        raise ValueError("the size of its image is not told")
    width, height = int(frame[0]), int(frame[1])
    if width * height > 2 * (Image.MAX_IMAGE_PIXELS or 0):
        raise ValueError("its image is too large")
    if not isinstance(rle, Sequence) or any(type(byte) is not int or not 0 <= byte < 256 for byte in rle):
        raise ValueError("its brush mask is damaged")
    alpha = unpacked(bytes(rle), width * height * CHANNELS)[ALPHA::CHANNELS]
    return runs_of_mask(alpha.reshape(height, width) > 0, (width, height))
