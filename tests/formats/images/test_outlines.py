"""Outlines of objects, polygons and run lengths, as masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from htltools.errors import DataError
from htltools.formats.images.outlines import outline_box, outlined, unpacked_counts

SIZE = 100, 80


def square(x0, y0, x1, y1):
    """A polygon around a box."""
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def test_polygons():
    """Several polygons are one object; they are in a frame of their own, and may go beyond the image."""
    expected = np.zeros((80, 100), bool)
    expected[15:45, 20:60] = expected[60:80, 70:100] = True
    outline = [square(20, 15, 60, 45), square(70, 60, 300, 300)]
    assert np.array_equal(outlined(outline, SIZE, SIZE), expected)
    halved = [[number / 2 for number in polygon] for polygon in outline]
    assert np.array_equal(outlined(halved, (50, 40), SIZE), expected)
    assert outline_box(outline, SIZE) == [20, 15, 300, 300]


def test_shares():
    """Shares of the sides are a frame of 1 x 1."""
    expected = np.zeros((80, 100), bool)
    expected[20:40, 25:75] = True
    assert np.array_equal(outlined([square(0.25, 0.25, 0.75, 0.5)], (1, 1), SIZE), expected)


@given(st.integers(1, 20), st.integers(1, 20), st.randoms(use_true_random=False))
def test_run_lengths(height, width, random):
    """Run lengths are what pycocotools reads, as whole numbers and as its text."""
    pixels = np.array([random.random() < 0.4 for _ in range(height * width)]).reshape(height, width)
    packed = coco.encode(np.asfortranarray(pixels.astype(np.uint8)))
    counts = unpacked_counts(packed["counts"])
    for written in packed["counts"], packed["counts"].decode(), counts:
        assert np.array_equal(outlined({"size": [height, width], "counts": written}, (1, 1), (1, 1)), pixels)


@pytest.mark.parametrize(
    "outline",
    [
        {"size": [80, 100], "counts": [8001]},
        {"size": [80, 100], "counts": [9000, -1000]},
        {"size": [80, 100], "counts": "04"},
        {"size": [80, 100], "counts": "\u00e9"},
        {"size": [80, 100], "counts": "zzzzzzzzzzzzzzzzzzz"},
        {"size": [10**6, 10**6], "counts": [10**12]},
        {"size": [80], "counts": [80]},
        {"size": [80, 100]},
        [[1, 2, 3, 4, 5, 6, 7]],
        [[1, 2, 3, 4, 5, "x"]],
        [[1, 2, 3, 4, 5, float("nan")]],
        [1, 2, 3, 4, 5, 6],
        7,
    ],
    ids=str,
)
def test_what_is_no_outline(outline):
    """What is neither polygons nor run lengths that fill their mask is refused."""
    with pytest.raises(DataError, match="^an outline is neither polygons nor run lengths$"):
        outlined(outline, SIZE, SIZE)


def test_a_polygon_far_away_takes_no_memory():
    """A polygon beyond all measure is cut before it is drawn."""
    assert outlined([square(-1e12, -1e12, 1e12, 1e12)], SIZE, SIZE).all()
    assert not outlined([[1, 2, 3, 4]], SIZE, SIZE).any()
