"""WebP images inside of a page."""

import base64
import io

import numpy as np
from PIL import Image

from htltools.formats.images.webp import fitting_uris

NOISE = np.random.default_rng(0).integers(0, 256, (6, 96, 96, 3), np.uint8)


def images_of(uris):
    """The images of data URIs."""
    return [Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/webp;base64,")))) for uri in uris]


def test_proportions_of_the_original():
    """A squashed image comes back in the proportions of its original, and never larger than it is stored."""
    sizes = np.array([[600, 450], [450, 600], [10, 10], [4000, 1], [96, 96], [192, 96]])
    frames = [image.size for image in images_of(fitting_uris(NOISE.__getitem__, sizes, 10**7))]
    assert frames == [(96, 72), (72, 96), (96, 96), (96, 1), (96, 96), (96, 48)]


def test_smaller_where_room_is_short():
    """Images that are too large in all are made smaller until they fit."""
    sizes = np.full((6, 2), 96)
    whole, short = (sum(map(len, fitting_uris(NOISE.__getitem__, sizes, limit))) for limit in (10**7, 12_000))
    assert short <= 12_000 < whole
