"""WebP images as data URIs."""

import base64
import io
from collections.abc import Callable

import numpy as np
from PIL import Image

# longest side in pixels and quality of the encoder: the first that fits is taken
STEPS = (256, 80), (192, 75), (160, 65), (128, 55), (96, 40), (64, 20)


def fitting_uris(image: Callable[[int], np.ndarray], sizes: np.ndarray, limit: int) -> list[str]:
    """N images as data URIs of at most `limit` bytes in all, each in the proportions of its original (width, height).

    image: gives the i-th, uint8 [H, W, 3]; sizes: [N, 2].
    Nothing is enlarged beyond the longer side of the stored image. The last step is taken even where it is too large.
    """
    uris: list[str] = []
    for side, quality in STEPS:
        uris, total = [], 0
        for i, size in enumerate(sizes):
            uris.append(webp_uri(image(i), size, side, quality))
            total += len(uris[-1])
            if total > limit:
                break
        else:
            return uris
    return [webp_uri(image(i), size, side, quality) for i, size in enumerate(sizes)]


def webp_uri(image: np.ndarray, size: np.ndarray, side: int, quality: int) -> str:
    """An image uint8 [H, W, 3] in the proportions of `size`, its longer side `side` pixels or that of the image, as a data URI."""
    factor = min(side, max(image.shape[:2])) / max(size)
    frame = tuple(max(round(float(edge) * factor), 1) for edge in size)
    out = io.BytesIO()
    Image.fromarray(image).resize(frame, Image.Resampling.BICUBIC).save(out, "WEBP", quality=quality, method=2)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
