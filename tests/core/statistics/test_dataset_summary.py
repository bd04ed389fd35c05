"""Counts and means by split and subgroup."""

import numpy as np
import pytest

from htltools.core.statistics.dataset_summary import subgroup_summaries
from htltools.core.statistics.subgroups import parsed_fields
from htltools.errors import DataError

ROWS = [
    {"id": "a", "split": "test", "boxes": [[0, 0, 1, 1]], "meta": {"sex": "male"}},
    {"id": "b", "split": "train", "boxes": [], "meta": {"sex": "male"}},
    {"id": "c", "split": "train", "boxes": [[0, 0, 1, 1]], "pseudo": True, "meta": {"sex": "female"}},
    {"id": "d", "split": "train"},
    {"id": "e"},
]
GROUPS = np.array(["p", "q", "q", "r", "s"])
NAN = float("nan")
HARDNESS = np.array([[1, NAN], [2, 4], [5, NAN], [NAN, NAN], [7, 7]])


def test_each_split_is_counted_as_a_whole_and_by_level():
    """Splits in their order, each whole and then its levels; rows of no split come last; pseudo boxes are no annotations, [] is one."""
    summaries = subgroup_summaries(ROWS, GROUPS, HARDNESS, parsed_fields("sex"))
    assert [(own.split, "".join(own.subgroup.values()), own.samples, own.groups, own.annotated) for own in summaries] == [
        ("train", "", 3, 2, 1),
        ("train", "female", 1, 1, 0),
        ("train", "male", 1, 1, 1),
        ("train", "unknown", 1, 1, 0),
        ("test", "", 1, 1, 1),
        ("test", "male", 1, 1, 1),
        ("none", "", 1, 1, 0),
        ("none", "unknown", 1, 1, 0),
    ]


def test_means_are_over_the_rows_that_have_a_score():
    """Rows without a score do not count in the mean; where none has a score it is NaN."""
    means = {(own.split, *own.subgroup.values()): own.means for own in subgroup_summaries(ROWS, GROUPS, HARDNESS, parsed_fields("sex"))}
    np.testing.assert_array_equal(means["train",], [3.5, 4])
    np.testing.assert_array_equal(means["train", "female"], [5, NAN])
    np.testing.assert_array_equal(means["train", "unknown"], [NAN, NAN])
    assert subgroup_summaries(ROWS, GROUPS, np.empty((5, 0)), [])[0].means.shape == (0,)


def test_a_field_that_no_row_has_is_refused():
    """A typing error gives an error, not an empty summary."""
    with pytest.raises(DataError, match="no row has a field 'sx' to group by"):
        subgroup_summaries(ROWS, GROUPS, HARDNESS, parsed_fields("sx"))
