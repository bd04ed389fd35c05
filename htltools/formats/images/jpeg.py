"""JPEG images, decoded no larger than their frame needs."""

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from htltools.formats.images.compressed_headers import file_bytes

FACTORS = 8, 4, 2  # that libjpeg scales by quickly; the factors between them are slower than none
ENOUGH = 7 / 8  # of the frame: the detail that is lost is detail that a bilinear filter halves
NEAR = 0.8, 1.25  # pixels per pixel of the frame: between them, a bilinear filter uses two neighbours a side


def reduction(size: tuple[int, int], frame: tuple[int, int]) -> int:
    """By which factor (1, 2, 4 or 8) an image (width, height) can be decoded smaller and still fill a frame (width, height).

    >>> reduction((600, 450), (256, 256)), reduction((4000, 3000), (256, 256)), reduction((300, 200), (256, 256))
    (2, 8, 1)
    """
    return next((k for k in FACTORS if all(have // k >= ENOUGH * want for have, want in zip(size, frame))), 1)


def squashed_jpeg(image: Image.Image, frame: tuple[int, int]) -> np.ndarray | None:
    """An opened JPEG in colour, squashed to a frame (width, height): uint8 [H, W, 3]; None where Pillow should do it.

    Pillow does grey and CMYK images, and all that libjpeg warns of: it reads some of them, and has reasons for the others.
    """
    if image.format not in ("JPEG", "MPO") or image.mode != "RGB":
        return None
    factor = reduction(image.size, frame)
    width, height = (-(-side // factor) for side in image.size)
    try:
        pixels = simplejpeg.decode_jpeg(file_bytes(image), min_width=width, min_height=height)
    except ValueError:
        return None
    return resampled(pixels, frame) if pixels.shape == (height, width, 3) else None


def resampled(pixels: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
    """An image uint8 [h, w, 3] in a frame (width, height): uint8 [H, W, 3], by a bilinear filter."""
    if all(NEAR[0] <= have / want <= NEAR[1] for have, want in zip(pixels.shape[1::-1], frame)):
        return cv2.resize(pixels, frame, interpolation=cv2.INTER_LINEAR)  # .09 ms, Pillow .68; nothing can alias
    return np.asarray(Image.fromarray(pixels).resize(frame, Image.Resampling.BILINEAR, reducing_gap=2))


def use_one_thread() -> None:
    """Resample in the calling thread only, where processes share the cores already."""
    cv2.setNumThreads(1)
