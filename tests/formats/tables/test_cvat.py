"""CVAT for images: boxes, polygons, ellipses and masks."""

import numpy as np
import pytest
from pycocotools import mask

from htltools.errors import DataError
from htltools.formats.tables.cvat import read_cvat


@pytest.fixture
def read(tmp_path):
    """Reads shapes of one image, or a whole document."""

    def reading(shapes, attributes="", document=None):
        path = tmp_path / "annotations.xml"
        image = f'<image id="0" name="sub/a.png" width="100" height="80" {attributes}>{shapes}</image>'
        path.write_text(document or f"<annotations><version>1.1</version>{image}<image id='1' name='b.png'/></annotations>")
        return read_cvat(path)

    return reading


def test_boxes(read):
    """Corners are edges; an image without shapes holds no object; tag and subset are label and split."""
    one = read('<box label="lesion" xtl="20.00" ytl="15" xbr="60" ybr="45" occluded="0"/><tag label="nv"/>', 'subset="Train"')
    facts = one.facts["sub/a.png"]
    assert (facts.boxes, facts.label, facts.split, facts.frame) == ([[20, 15, 60, 45]], "nv", "train", (100, 80))
    assert one.facts["b.png"].boxes == [] and one.facts["b.png"].frame is None


def test_outlines(read):
    """Polygons, ellipses, turned boxes and masks have outlines; their extent is the box."""
    one = read(
        '<polygon label="a" points="20,15;60,15;60,45"/><ellipse label="a" cx="40" cy="30" rx="20" ry="15"/>'
        '<box label="a" xtl="25" ytl="10" xbr="55" ybr="50" rotation="90"/>'
        '<mask label="a" rle="1, 2, 3" left="20" top="15" width="3" height="2"/>'
    ).facts["sub/a.png"]
    assert one.boxes[:3] == [pytest.approx([20, 15, 60, 45])] * 3 and one.boxes[3] == [21, 15, 23, 16]
    drawn = mask.decode(mask.frPyObjects(one.outlines[3], 80, 100))
    assert np.argwhere(drawn).tolist() == [[15, 21], [15, 22]]


def test_what_cannot_be_used(read):
    """Other shapes, masks that do not fill their box and damaged numbers are left out; other XML is refused."""
    one = read(
        '<polyline points="1,2;3,4"/><mask rle="1,2" left="0" top="0" width="3" height="2"/><box xtl="x" ytl="1" xbr="2" ybr="3"/><box/>'
        '<polygon points=""/><mask rle="6" left="0" top="0" width="3" height="2"/><mask rle="0,6" left="99" top="0" width="3" height="2"/>'
    )
    assert len(one.left_out) == 7 and one.facts["sub/a.png"].boxes is None
    assert "videos are not read" in read("", document="<annotations><track id='0'/></annotations>").left_out[0]["reason"]
    for document in ("<annotation/>", "<annotations>", "<annotations/>", "x"):
        with pytest.raises(DataError):
            read("", document=document)
