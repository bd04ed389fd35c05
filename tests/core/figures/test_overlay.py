"""An image with its boxes."""

import numpy as np

from htltools.core.figures.overlay import ANNOTATED, LARGEST, PREDICTED, overlay

NONE = np.zeros((0, 4))
BOX = np.array([[0.25, 0.25, 0.75, 0.75]])


def count(drawn, colour):
    """Pixels of a colour."""
    return int((drawn == colour).all(2).sum())


def test_predicted_is_solid_and_annotated_is_dashed():
    """The predicted box has a whole outline, the annotated one in dashes: about half of it; both keep their place."""
    grey = np.full((120, 160, 3), 128, np.uint8)
    solid, dashed = overlay(grey, BOX, NONE, ""), overlay(grey, NONE, BOX, "")
    assert solid.shape == grey.shape and count(solid, ANNOTATED) == count(dashed, PREDICTED) == 0
    assert 0.3 * count(solid, PREDICTED) < count(dashed, ANNOTATED) < 0.75 * count(solid, PREDICTED)
    rows, columns = np.nonzero((solid == PREDICTED).all(2))
    assert (abs(rows.min() - 30) <= 2, abs(columns.min() - 40) <= 2, abs(rows.max() - 89) <= 2, abs(columns.max() - 119) <= 2) == (
        True,
    ) * 4


def test_text_is_drawn_and_large_images_are_made_smaller():
    """The line of text is there, and no overlay is larger than a screen can use."""
    drawn = overlay(np.zeros((100, 3000, 3), np.uint8), NONE, NONE, "refer")
    assert drawn.shape == (68, LARGEST, 3)
    assert drawn.max() == 255


def test_a_box_without_area_and_one_at_the_border():
    """Any box can be drawn."""
    overlay(np.zeros((20, 20, 3), np.uint8), np.array([[0.5, 0.5, 0.5, 0.5], [0, 0, 1, 1]]), np.array([[0, 0, 1, 1.0]]), "", ["a", "b"])
