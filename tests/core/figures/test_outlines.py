"""Colours and dashes of boxes."""

import itertools

import numpy as np
import pytest
from PIL import Image

from htltools.core.figures.outlines import COLOURS, SHADE, draw_boxes

# light that a person without one kind of cone sees, in linear RGB; Machado, Oliveira and Fernandes, IEEE TVCG 15, 2009, table 1, severity 1
SIGHTS = {
    "normal": np.eye(3),
    "protanope": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranope": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanope": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(colour, sight):
    """A colour (red, green, blue) in CIE Lab, D65, as someone with that sight sees it."""
    share = np.array(colour) / 255
    light = np.clip(np.array(sight) @ np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4), 0, 1)
    xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]) @ light
    x, y, z = (np.cbrt(each) if each > 0.008856 else 7.787 * each + 16 / 116 for each in xyz / [0.95047, 1, 1.08883])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHTS)
def test_colours_differ_for_every_eye(sight):
    """Any two roles, and each from the shade, are at least 28 apart in Lab, for people without one kind of cone as well."""
    for one, other in itertools.combinations([*COLOURS.values(), SHADE], 2):
        assert np.linalg.norm(lab(one, SIGHTS[sight]) - lab(other, SIGHTS[sight])) > 28


def drawn(boxes, line=2, shade=1):
    """A grey image of 160 x 160 with boxes."""
    image = Image.new("RGB", (160, 160), (90, 90, 90))
    draw_boxes(image, {role: np.array(own, float) for role, own in boxes.items()}, line, shade)
    return np.asarray(image)


def test_roles_differ_without_colour():
    """The dense box is a whole line, the others are dashes, each of its own length, that begin and end at the corners of the box."""
    top = {role: (drawn({role: [[4, 4, 156, 156]]})[4] == colour).all(-1) for role, colour in COLOURS.items()}
    assert top["dense"][4:156].all()
    changes = {role: int((line[1:] != line[:-1]).sum()) for role, line in top.items()}
    assert changes["dense"] == 2 < changes["attended"] < changes["annotated"] < changes["pruned"]
    assert all(line[[4, 155]].all() and not line[[3, 156]].any() for line in top.values())


def test_boxes_that_coincide_are_all_seen():
    """Where the boxes of all roles are the same, each shows in the gaps of those above it."""
    image = drawn(dict.fromkeys(COLOURS, [[2, 2, 158, 158]]))
    assert all((image == colour).all(-1).any() for colour in COLOURS.values())


def test_a_shade_lies_around_each_line():
    """White lines are seen on white."""
    image = drawn({"annotated": [[10, 10, 30, 30]]})
    assert (
        (image[9, 9:31] == SHADE).all() and (image[12, 12:28] == SHADE).all() and (image[8] == 90).all() and (image[13, 13:27] == 90).all()
    )
