"""Quality checks of usable samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htltools.core import data_checks
from htltools.core.data_checks import Issue, odd_ages, odd_boxes, odd_contrast, odd_conventions, plain_word, same_images, spellings


@given(st.lists(st.integers(0, 5), max_size=20))
def test_every_copy_of_an_image_is_an_issue(digests):
    """Of each image all copies but the first are issues, with the id of the first."""
    ids = [f"s{i}" for i in range(len(digests))]
    issues = same_images(ids, ["train"] * len(ids), np.array(digests, np.uint64))
    copies = [i for i, digest in enumerate(digests) if digest in digests[:i]]
    assert [issue.id for issue in issues] == [ids[i] for i in copies]
    assert [issue.reason for issue in issues] == [f"the same pixels as {ids[digests.index(digests[i])]}" for i in copies]


def test_a_copy_in_another_split_says_so():
    """A copy in another split, which leaks from training into measurements, is an issue of its own kind."""
    kinds = [issue.kind for issue in same_images("abc", ["train", "test", "train"], np.array([7, 7, 7], np.uint64))]
    assert kinds == ["the same pixels in two splits", "the same pixels under two ids"]


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ([0, 0, 600, 449], "a box covers everything"),
        ([-9, -9, 700, 700], "a box covers everything"),
        ([10, 10, 15, 200], "a box covers next to nothing"),
        ([10, 10, 200, 14], "a box covers next to nothing"),
        ([0.2, 0.1, 0.9, 1], "a box looks like shares of the sides, not pixels"),
        ([10, 10, 20, 20], None),
    ],
)
def test_boxes(box, kind):
    """Boxes of at least 99 % of the image are issues, and those that are thinner than a pixel of the stored image."""
    issues = odd_boxes("a", [[5, 5, 90, 90], box], (600, 450), (96, 96))
    assert [issue.kind for issue in issues] == ([kind] if kind else [])


def noise(low, high, shape=(64, 64, 3)):
    """An image of noise between two grey levels."""
    return np.random.default_rng(0).integers(low, high + 1, shape).astype(np.uint8)


def test_images_that_show_nothing():
    """An image of one value is an issue; so is one of a few grey levels, also beside a white rim or a bright pixel."""
    faint = noise(3, 9)
    faint[0, 0] = 255
    rimmed = noise(1, 9)
    rimmed[:, :6] = 255
    for image, kind in {
        "an image of one value": np.full((64, 64, 3), (9, 200, 30), np.uint8),
        "an image of next to no contrast": faint,
    }.items():
        assert [issue.kind for issue in odd_contrast("a", kind)] == [image]
    assert odd_contrast("a", rimmed)[0].reason == "96% of its pixels, or of those neither black nor white, are within 9 of 256 grey levels"


def test_images_that_show_something():
    """Dark images, images that are black but for an object, of black and white alone, and of one colour channel are no issues."""
    alone = np.zeros((64, 64, 3), np.uint8)
    alone[20:30, 20:30] = noise(100, 200, (10, 10, 3))
    letters = np.zeros((64, 64, 3), np.uint8)
    letters[10:20] = 255
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = noise(0, 90, (64, 64))
    for image in noise(5, 40), alone, letters, red:
        assert not odd_contrast("a", image)


def test_contrast_that_a_few_pixels_show(monkeypatch):
    """The short way says the same as the histograms, of images of few and many levels, with black, white and one more level in places."""
    draw, images = np.random.default_rng(0), []
    for _ in range(1500):
        spread = draw.integers(1, 60)
        image = noise(0, 255, (*draw.integers(1, 40, 2), 3)) % spread + draw.integers(0, 256 - spread).astype(np.uint8)
        for level, share in (draw.choice([0, 255]), draw.choice([0, 1])), (draw.integers(256), 0.05):
            image[draw.random(image.shape[:2]) < share * draw.random()] = level
        images.append(image)
    short = [odd_contrast("a", image) for image in images]
    taken = sum(data_checks.has_clear_contrast(image) for image in images)
    monkeypatch.setattr(data_checks, "has_clear_contrast", lambda image: False)
    assert short == [odd_contrast("a", image) for image in images]
    assert 500 < taken < 1400 and any(short)


def conventions(boxes, size=(100, 80)):
    """The kind of the issue of boxes in images of one size; "" for none."""
    ids = [f"s{i}" for i in range(len(boxes))]
    issues = odd_conventions(ids, np.array(boxes, float).reshape(-1, 4), np.tile(size, (len(boxes), 1)))
    return issues[0].kind if issues else ""


def test_conventions_of_boxes():
    """Boxes that end one pixel early, or start at 1, throughout a data set are told, and so are those all in the upper left."""
    early = [[0, 5, 99, 20], [10, 0, 30, 79], [5, 5, 99, 79]]
    assert conventions(early) == "boxes may count their last pixel: no edge lies at the border"
    assert conventions([*early, [50, 5, 100, 20]]) == conventions(early[:2]) == ""
    from_one = [[1, 5, 50, 20], [10, 1, 100, 40], [1, 1, 100, 80]]
    assert conventions(from_one) == "boxes may be counted from 1: no edge lies at 0"
    assert conventions([*from_one, [0, 5, 50, 20]]) == ""
    corner = [[i, i, 30 + i, 20 + i] for i in range(2, 24)]
    assert conventions(corner) == "all boxes lie in the upper left of their images: are they those of smaller ones?"
    assert conventions([*corner, [60, 10, 70, 20]]) == conventions(corner[:10]) == conventions([]) == ""


def test_ages():
    """Numbers in columns of age are issues unless they are above 0 and at most 120; other columns are not looked at."""
    meta = {"age": 0, "age_approx": 120, "Age at onset": -1, "mean age": 121.5, "stage": 0, "age_group": "0", "image": 0}
    assert odd_ages("a", meta) == [
        Issue("a", "age is 0", "age is 0"),
        Issue("a", "Age at onset is below 0 or above 120", "Age at onset is -1"),
        Issue("a", "mean age is below 0 or above 120", "mean age is 121.5"),
    ]


def test_spellings_are_compared_within_a_column():
    """The rarer spellings of a word are issues; the same word in another column is none."""
    metadata = [{"sex": "male", "site": "Lower-Extremity"}, {"sex": "male"}, {"sex": "MALE", "site": "male"}, {"sex": 1}]
    assert [(issue.id, issue.reason) for issue in spellings("abcd", metadata)] == [("c", "sex is 'MALE', elsewhere 'male'")]


@pytest.mark.parametrize(
    "word", ["Lower_Extremity ", "lower  extremity", "LOWER-EXTREMITY", "lower\u00a0extremity", "\uff4cower extremity"]
)
def test_spellings_of_one_word(word):
    """Capitals, blanks of any kind, hyphens, underscores and forms of a letter make no other word."""
    assert plain_word(word) == "lower extremity"
