"""Quality checks of usable samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htltools.core.data_checks import Issue, odd_ages, odd_boxes, plain_word, same_images, spellings


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
        ([10, 10, 20, 20], None),
    ],
)
def test_boxes(box, kind):
    """Boxes of at least 99 % of the image are issues, and those that are thinner than a pixel of the stored image."""
    issues = odd_boxes("a", [[5, 5, 90, 90], box], (600, 450), (96, 96))
    assert [issue.kind for issue in issues] == ([kind] if kind else [])


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
