"""Distances between outlines, by hand and by brute force."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from htltools.core.geometry.surface_distances import outline, outline_agreement


def rectangle(height, width, y0, x0, y1, x1):
    """A mask with one filled rectangle."""
    mask = np.zeros((height, width), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_by_hand():
    """A bar one pixel wide, moved by three pixels of ten across: every distance is that, and nothing near one lies near the other."""
    bar, moved = rectangle(10, 10, 0, 2, 10, 3), rectangle(10, 10, 0, 5, 10, 6)
    size = np.array([[400, 300]])  # a pixel is 40 wide and 30 high; the diagonal is 500
    assert outline_agreement(bar[None], moved[None], size)[0] == pytest.approx([120 / 500, 120 / 500, 0])
    assert outline_agreement(bar.T[None], moved.T[None], size)[0] == pytest.approx([90 / 500, 90 / 500, 0])
    assert outline_agreement(bar[None], bar[None], size)[0].tolist() == [0, 0, 1]


def test_boundary_iou_by_hand():
    """On a large image the pixels within 2 % of the diagonal count: two squares, one of them 3 wider on each side."""
    inner, outer = rectangle(300, 400, 100, 100, 200, 200), rectangle(300, 400, 97, 97, 203, 203)
    near = 10  # 2 % of 500
    inside = 100**2 - (100 - 2 * near) ** 2, 106**2 - (106 - 2 * near) ** 2
    both = 100**2 - (106 - 2 * near) ** 2
    values = outline_agreement(inner[None], outer[None], np.array([[400, 300]]))[0]
    assert values[2] == pytest.approx(both / (sum(inside) - both))
    assert values[0] == pytest.approx(3 / 500)  # but for the corners, which are fewer than 5 %
    assert 3 / 500 < values[1] < 3.1 / 500


def test_empty_masks():
    """A missed lesion is as far away as can be, and so is one where none is; no lesion twice is the same."""
    lesion, none = rectangle(8, 8, 1, 1, 4, 4)[None], np.zeros((1, 8, 8), bool)
    size = np.array([[8, 8]])
    for pair in ((lesion, none), (none, lesion)):
        assert outline_agreement(*pair, size).tolist() == [[1, 1, 0]]
    assert outline_agreement(none, none, size).tolist() == [[0, 0, 1]]


def test_brute_force_and_symmetry():
    """Any masks, also with holes and at the border, have the distances of all pairs of outline pixels, whichever comes first."""
    random = np.random.default_rng(0)
    masks = random.random((2, 6, 20, 16)) < np.array([0.3, 0.6])[:, None, None, None]
    size = np.array([[64, 40]] * 6)
    values = outline_agreement(*masks, size)
    assert outline_agreement(*masks[::-1], size) == pytest.approx(values)
    scale = np.array([2.0, 4.0]) / np.hypot(64, 40)
    for one, other, own in zip(*masks, values):
        points = [np.argwhere(outline(np.pad(mask, 1))) * scale for mask in (one, other)]
        apart = cdist(*points)
        nearest = apart.min(1), apart.min(0)
        assert own[0] == pytest.approx(max(np.percentile(each, 95) for each in nearest))
        assert own[1] == pytest.approx(np.concatenate(nearest).mean())
