"""The contact sheet."""

import numpy as np
import pytest
from PIL import ImageFont

from htltools.core.figures.contact_sheet import CAPTION, GAP, HEADER, TILE, contact_sheet, cut_text, fitted_size, tile
from htltools.core.figures.outlines import COLOURS


def sheet(count, **boxes):
    """A sheet of black images of 200 x 100."""
    black = np.zeros((count, 32, 32, 3), np.uint8)
    return contact_sheet(black, np.tile([200.0, 100.0], (count, 1)), boxes, [f"s{i}" for i in range(count)], "title")


def test_boxes_are_drawn_at_their_place():
    """A box of the middle half is drawn there, in the colour of its role, on a tile in the proportions of the original."""
    drawn = sheet(1, annotated=[np.array([[0.25, 0.25, 0.75, 0.75]])])
    rows, columns = np.nonzero((drawn[HEADER:] == COLOURS["annotated"]).all(-1))
    left, top = GAP, 0
    assert (columns.min(), columns.max()) == (left + TILE // 4, left + TILE * 3 // 4 - 1)
    assert (rows.min(), rows.max()) == (top + TILE // 8, top + TILE * 3 // 8 - 1)


def test_several_boxes_are_all_drawn():
    """Each of several boxes of a role is drawn at its place."""
    drawn = sheet(1, dense=[np.array([[0, 0, 0.25, 0.25], [0.5, 0.5, 1, 1]])])[HEADER:]
    rows, columns = np.nonzero((drawn == COLOURS["dense"]).all(-1))
    first = columns < GAP + TILE // 3
    assert (columns[first].max(), rows[first].max()) == (GAP + TILE // 4 - 1, TILE // 8 - 1)
    assert (columns[~first].min(), rows[~first].min()) == (GAP + TILE // 2, TILE // 4)


def test_roles_without_a_box_are_not_drawn():
    """A sample that is not annotated has no annotated box, but those of the other roles."""
    drawn = sheet(1, annotated=[np.zeros((0, 4))], dense=[np.array([[0.1, 0.1, 0.9, 0.9]])])[HEADER:]
    assert not (drawn[: TILE // 2] == COLOURS["annotated"]).all(-1).any()
    assert (drawn == COLOURS["dense"]).all(-1).any()
    assert not (drawn == COLOURS["pruned"]).all(-1).any()


@pytest.mark.parametrize("count, columns, lines", [(1, 3, 1), (6, 6, 1), (7, 6, 2), (60, 6, 10)])
def test_the_grid_grows_with_the_samples(count, columns, lines):
    """At most six images stand in a line, as many lines as it takes, each no higher than its images."""
    height, width, channels = sheet(count).shape
    assert (width, height, channels) == (GAP + columns * (TILE + GAP), HEADER + lines * (TILE // 2 + CAPTION + GAP) + GAP, 3)


def test_boxes_beyond_the_image_and_without_area_are_drawn():
    """Predictions outside of the image or without an area do not stop the sheet."""
    assert sheet(2, pruned=[np.array([[-1.0, -1, 2, 2]]), np.array([[0.5, 0.5, 0.5, 0.5]])]).dtype == np.uint8


def test_images_keep_their_proportions():
    """Wide and tall images fill a tile by their longer side."""
    assert fitted_size(np.array([200, 100])) == (TILE, TILE // 2)
    assert fitted_size(np.array([1, 5000])) == (1, TILE)


def test_every_box_of_an_image_is_drawn():
    """An image with several annotated boxes shows each of them, and one with none shows none."""
    black = np.zeros((2, 32, 32, 3), np.uint8)
    boxes = {"annotated": [np.array([[0, 0, 0.25, 0.5], [0.75, 0.5, 1, 1]]), np.empty((0, 4))]}
    drawn = contact_sheet(black, np.tile([200.0, 100.0], (2, 1)), boxes, ["a", "b"], "t")[HEADER:]
    columns = np.nonzero((drawn == COLOURS["annotated"]).all(-1).any(0))[0]
    assert (columns.min(), columns.max()) == (GAP, GAP + TILE - 1)
    assert columns[columns > GAP + TILE // 4].min() == GAP + TILE * 3 // 4


def test_a_small_box_does_not_hide_its_content():
    """The outline of a box of few pixels lies outside of it, so that the pixels stay visible."""
    grey = np.full((24, 24, 3), 9, np.uint8)
    for role in COLOURS:
        drawn = np.asarray(tile(grey, np.array([24, 24]), {role: np.array([[10, 10, 13, 13]]) / 24}, 24, 1, 0))
        assert (drawn[10:13, 10:13] == 9).all()
        ring = (drawn != 9).any(-1)
        assert (ring[9:14, 9:14].sum(), ring.sum()) == (16, 16)


def test_the_caption_is_cut_at_the_width_of_its_tile():
    """As much of a caption is written as fits, its end marked; what comes first stays, and nothing reaches into the next tile."""
    font = ImageFont.load_default(12)
    assert cut_text("0.1234  short", font, TILE) == "0.1234  short"
    long = cut_text("0.1234  " + "W" * 99, font, TILE)
    assert long.startswith("0.1234  WWW") and long.endswith("W\N{HORIZONTAL ELLIPSIS}")
    assert TILE - 20 < font.getlength(long) <= TILE
    black = np.zeros((2, 32, 32, 3), np.uint8)
    drawn = contact_sheet(black, np.tile([200.0, 100.0], (2, 1)), {}, ["W" * 99, ""], "")
    assert (drawn[HEADER + TILE // 2 :, GAP + TILE :] == drawn[-1, -1]).all()
