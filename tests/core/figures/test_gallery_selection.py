"""Which samples a report shows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from htltools.core.figures.gallery_selection import gallery_positions, gallery_sections, rank_within_split

SCORES = st.one_of(st.none(), st.floats(-1, 1), st.sampled_from([0.25, 0.5]))  # some of them tie


def sections(rows, count):
    """The sections of rows (hardness, suspect, gain, split), whose ids are given."""
    scores = [row[1:4] for row in rows]
    return gallery_sections(*np.array(scores, float).T, [row[4] for row in rows], [row[0] for row in rows], count)


def test_ranks_are_within_a_split():
    """A low score that is the highest of its split ranks as high as a high one of another split; equal scores rank alike."""
    ranks = rank_within_split(np.array([10, 20, 0.1, 0.2, np.nan]), ["a", "a", "b", "b", "b"])
    assert ranks[:4].tolist() == [0.5, 1, 0.5, 1] and np.isnan(ranks[4])
    assert rank_within_split(np.array([2, 2, 1, 3]), ["a"] * 4).tolist() == [0.75, 0.75, 0.25, 1]


@given(st.lists(st.tuples(*[st.one_of(st.none(), st.floats(-1, 1))] * 3), min_size=1, max_size=40), st.integers(1, 50))
def test_never_more_than_asked_for(rows, count):
    """There are never more images than asked for, none twice in a section, and each gain is one."""
    hardness, suspect, gain = np.array(rows, float).T
    shown = gallery_sections(hardness, suspect, gain, ["test"] * len(rows), [f"s{i}" for i in range(len(rows))], count)
    assert len(gallery_positions(shown)) <= count
    assert all(len(set(positions.tolist())) == len(positions) for positions in shown.values())
    assert (gain[shown.get("gains", [])] > 0).all() and (gain[shown.get("losses", [])] < 0).all()


@given(st.lists(st.tuples(SCORES, SCORES, SCORES, st.sampled_from(["train", "test"])), min_size=1, max_size=25), st.randoms())
def test_the_order_of_rows_does_not_matter(samples, shuffling):
    """The same samples stand in the same order in each section, wherever their rows stand in the stream, ties included."""
    rows = [(f"s{i}", *sample) for i, sample in enumerate(samples)]
    shuffled = shuffling.sample(rows, len(rows))
    one, other = (
        {name: [given[place][0] for place in places] for name, places in sections(given, 6).items()} for given in (rows, shuffled)
    )
    assert one == other


def test_all_are_shown_where_there_is_room():
    """With room for all, every sample with a score is there, the hardest first."""
    shown = gallery_sections(np.array([1, 3, 2.0]), np.full(3, np.nan), np.full(3, np.nan), ["test"] * 3, "abc", 9)
    assert {name: positions.tolist() for name, positions in shown.items()} == {"hardest": [1, 2, 0]}
