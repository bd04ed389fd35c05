"""Which samples a report shows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from htltools.core.figures.gallery_selection import chosen, sections, standing


def test_standing_is_within_a_part():
    """A low score that is the highest of its part stands as high as a high one of another part."""
    placed = standing(np.array([10, 20, 0.1, 0.2, np.nan]), ["a", "a", "b", "b", "b"])
    assert placed[:4].tolist() == [0.5, 1, 0.5, 1] and np.isnan(placed[4])


@given(st.lists(st.tuples(*[st.one_of(st.none(), st.floats(-1, 1))] * 3), min_size=1, max_size=40), st.integers(1, 50))
def test_never_more_than_asked_for(rows, count):
    """There are never more images than asked for, none twice in a section, and each gain is one."""
    hardness, suspect, gain = np.array(rows, float).T
    found = sections(hardness, suspect, gain, ["test"] * len(rows), count)
    assert len(chosen(found)) <= count
    assert all(len(set(places.tolist())) == len(places) for places in found.values())
    assert (gain[found.get("gains", [])] > 0).all() and (gain[found.get("losses", [])] < 0).all()


def test_all_are_shown_where_there_is_room():
    """With room for all, every sample with a score is there, the hardest first."""
    found = sections(np.array([1, 3, 2.0]), np.full(3, np.nan), np.full(3, np.nan), ["test"] * 3, 9)
    assert {name: places.tolist() for name, places in found.items()} == {"hardest": [1, 2, 0]}
