"""Names of images in tables, annotation files and folders of masks."""

import pytest

from htltools.formats.sources.names import ImageNames

PATHS = ["/s/images/a.png", "/s/images/sub/a.png", "/s/images/sub/b.jpg", "/s/images/b.png", "/s/images/Fall 7.TIF", "/s/images/1.2.840"]
IMAGES = ImageNames(PATHS, [path.removeprefix("/s/images/") for path in PATHS])


@pytest.mark.parametrize(
    "name, image",
    {
        "a.png": 0, "./a.png": 0, "images/a.png": 0, "sub/a.png": 1, "sub\\a": 1, "C:\\data\\sub\\a.png": 1,
        "http://h:8/files/sub/a.png": 1,
        "/data/local-files/?d=x%2Fimages%2Fsub%2Fa.png": 1, "b.jpg": 2, "b.png": 3, "elsewhere/fall 7.tif": 4, "Fall%207.TIF": None,
        "http://h/Fall%207.TIF": 4, "1.2.840.dcm": 5, "1.2.840": 5, "c.png": None, "": None, "sub/Fall 7.TIF": None, "x/b": None,
    }.items(),
)  # fmt: skip
def test_which_image(name, image):
    """A name means the image whose path ends so; what fits several, or a folder that lacks it, means none."""
    fitting = IMAGES.candidates(name)[1]
    assert fitting == ([] if image is None else [image]) or (image is None and len(fitting) > 1)


def test_many_images_of_one_name():
    """Thousands of images of one name in folders of their own are found by these, and at once."""
    paths = [f"/s/{i % 7}/case{i}/image.png" for i in range(5000)]
    images = ImageNames(paths, [path[3:] for path in paths])
    assert images.match(f"x/case{i}/image.png" for i in range(5000)).names == {i: [f"x/case{i}/image.png"] for i in range(5000)}
    assert images.candidates("y/image.png") == (1, list(range(5000)))
    assert [paths[i] for i in images.candidates("other/3/image.png")[1]] == paths


def test_a_longer_name_wins():
    """Of two names for one image, the one with its folder has it."""
    matches = IMAGES.match(["other/Fall 7.TIF", "images/Fall 7.TIF", "q.png"])
    assert matches.names == {4: ["images/Fall 7.TIF"]} and matches.unmatched == ["q.png", "other/Fall 7.TIF"]
