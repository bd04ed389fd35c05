"""Splits by hash of the group."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from htltools.core.sampling.splits import is_labelled, settled_splits, split_of

SHARES = 0.7, 0.15, 0.15


@given(st.lists(st.text(max_size=12), unique=True, min_size=1), st.text(max_size=12))
def test_adding_groups_moves_none(groups, new):
    """A group keeps its split when others are added, in whatever order."""
    before = dict(zip(groups, settled_splits(groups, [None] * len(groups), SHARES), strict=True))
    after = settled_splits([new, *groups[::-1]], [None] * (len(groups) + 1), SHARES)
    assert dict(zip(groups[::-1], after[1:], strict=True)) == before


def test_shares_are_kept():
    """Over many groups the splits have the shares asked for, and another seed makes other splits."""
    groups = [f"patient {i}" for i in range(4000)]
    counts = Counter(split_of(group, SHARES, 1) for group in groups)
    assert abs(counts["train"] / 4000 - 0.7) < 0.03
    assert abs(counts["val"] / 4000 - 0.15) < 0.02
    assert any(split_of(group, SHARES, 1) != split_of(group, SHARES, 2) for group in groups)


def test_known_answer():
    """The split of a group is the same on every machine and in every version."""
    assert [split_of(f"HAM_{i:07d}", SHARES) for i in range(8)] == ["train", "val", "train", "train", "test", "train", "train", "train"]


def test_a_group_stays_in_one_split():
    """Samples without a split follow their group; a share of 0 gets none."""
    assert settled_splits(["a", "b", "a"], [None, None, "test"], (1, 0, 0)) == ["test", "train", "test"]
    assert {split_of(str(i), (0, 2, 2)) for i in range(50)} == {"val", "test"}


def test_labelled_groups():
    """About the share asked for keeps its labels, evenly within a split, and a smaller share is a subset of a larger one."""
    groups = [f"patient {i}" for i in range(6000) if split_of(f"patient {i}", SHARES) == "train"]
    few, many = ({group for group in groups if is_labelled(group, share, 3)} for share in (0.05, 0.3))
    assert few < many
    assert abs(len(few) / len(groups) - 0.05) < 0.01
    assert abs(len(many) / len(groups) - 0.3) < 0.03
    assert few != {group for group in groups if is_labelled(group, 0.05, 4)}
