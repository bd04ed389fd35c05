"""Class names on boxes."""

import numpy as np
from PIL import Image

from htltools.core.figures.box_names import draw_names
from htltools.core.figures.contact_sheet import GAP, HEADER, TILE, contact_sheet
from htltools.core.figures.overlay import overlay

RED = (255, 0, 0)


def lettered(boxes, *, below=False, name="lung"):
    """Where letters of one name were drawn on a grey image 200 wide and 100 high: x0, y0, x1, y1 of the pixels."""
    image = Image.new("RGB", (200, 100), (128, 128, 128))
    draw_names(image, np.array(boxes, float), [name] * len(boxes), RED, 12, 2, below=below)
    drawn = np.asarray(image).astype(int)
    rows, columns = np.nonzero(drawn[..., 0] - drawn[..., 1] > 60)
    return columns.min(), rows.min(), columns.max(), rows.max()


def test_names_lie_in_the_corners_of_their_box():
    """Above or below at the left, inside of the box."""
    x0, y0, x1, y1 = lettered([[50, 20, 150, 80]])
    assert 50 < x0 < 60 and 20 < y0 < 30 and x1 < 100 and y1 < 40
    x0, y0, x1, y1 = lettered([[50, 20, 150, 80]], below=True)
    assert 50 < x0 < 60 and y0 > 60 and y1 < 80


def test_names_never_leave_the_image():
    """Of boxes at the border, too."""
    for box in ([195, 95, 200, 100], [0, 0, 2, 2]):
        for below in (False, True):
            x0, y0, x1, y1 = lettered([box], below=below)
            assert 0 <= x0 < x1 < 200 and 0 <= y0 < y1 < 100


def test_sheets_and_overlays_have_names_where_they_are_given():
    """The annotated below, the predicted above; without names there are none."""
    box = np.array([[0.1, 0.1, 0.9, 0.9]])
    black, sizes = np.zeros((1, 32, 32, 3), np.uint8), np.array([[100.0, 100.0]])
    boxes = {"annotated": [box], "dense": [box * [1, 1, 0.5, 1]]}
    plain = contact_sheet(black, sizes, boxes, ["a"], "title")
    named = contact_sheet(black, sizes, boxes, ["a"], "title", names={"annotated": [["left"]], "dense": [["right"]]})
    rows, columns = np.nonzero((plain != named).any(2))
    assert rows.min() > HEADER + 0.1 * TILE and rows.max() < HEADER + 0.9 * TILE and columns.min() >= GAP + 0.1 * TILE
    grey = np.full((200, 200, 3), 128, np.uint8)
    for names, classes in (["left"], []), ([], ["right"]), (["left"], ["right"]):
        added = (overlay(grey, box, box, "", names, classes) != overlay(grey, box, box, "")).any(2)
        assert (added[:100].any(), added[100:].any()) == (bool(names), bool(classes))
