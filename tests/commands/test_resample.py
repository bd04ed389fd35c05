"""`htl resample`."""

import numpy as np
import pytest

from htltools.formats.jsonlines import joined_lines, split_lines
from htltools.formats.stream import read_rows


def row(name, split="train", **more):
    """An annotated row."""
    return {"id": name, "split": split, "size": [100, 100], "boxes": [[10, 10, 60, 60]], **more}


ROWS = [row(f"r{i}", hardness={"loss": i / 10, "drift": 1 - i / 10}) for i in range(10)]
ASIDE = [
    row("v", "val", hardness={"loss": 9.0}),
    row("t", "test"),
    row("n", None),
    {"id": "u", "split": "train", "size": [9, 9]},
    row("e") | {"boxes": []},
]
ASIDE = [{key: value for key, value in row.items() if value is not None} for row in ASIDE]


def resampled(htl, *args, rows=ROWS + ASIDE):
    """The rows that resample writes."""
    code, out, err = htl("resample", "--by", "loss", *args, stdin=joined_lines(rows))
    assert code == 0, err
    return [line for line in split_lines(out) if "id" in line]


def test_the_top_share_weighs_more_and_the_mean_is_one(htl):
    """The hardest 30 % of the training rows get 1 + boost times the weight of the rest; the mean over the training rows is 1."""
    weights = {row["id"]: row["weight"] for row in resampled(htl, "--top", 0.3, "--boost", 1) if "weight" in row}
    assert list(weights) == [f"r{i}" for i in range(10)]
    assert list(weights.values()) == pytest.approx([1 / 1.3] * 7 + [2 / 1.3] * 3)


def test_other_rows_pass_untouched(htl):
    """Rows of other splits, and those without a box, go through as they came, in their place."""
    for options in (["--soft"], ["--mode", "repeat"], ["--mode", "select"], ["--drop-top", 0.2]):
        assert [row for row in resampled(htl, *options) if row["id"] in "vtnue"] == ASIDE
    mixed = [ASIDE[0], ROWS[0], ASIDE[1], *ROWS[1:]]
    assert [row["id"] for row in resampled(htl, rows=mixed)] == [row["id"] for row in mixed]


def test_soft_weights_grow_with_rank(htl):
    """--soft spreads the weights evenly over the ranks, from 1 to 1 + boost, with mean 1."""
    weights = [row["weight"] for row in resampled(htl, "--soft", "--boost", 3) if "weight" in row]
    assert weights == pytest.approx((1 + 3 * np.arange(10) / 9) / 2.5)


def test_no_boost_is_weight_one(htl):
    """--boost 0 gives every training row the weight 1, exactly."""
    for options in ([], ["--soft"]):
        assert {row["weight"] for row in resampled(htl, "--boost", 0, *options) if "weight" in row} == {1.0}


def test_repeats_are_told_apart(htl):
    """--mode repeat writes copies of the hard rows with a number of their own, so that the stream stays valid, also when repeated again."""
    rows = resampled(htl, "--mode", "repeat", "--top", 0.2, "--boost", 2, rows=ROWS)
    assert [(row["id"], row.get("repeat", 0)) for row in rows[-6:]] == [(f"r{i}", n) for i in (8, 9) for n in (0, 1, 2)]
    assert len(rows) == 14
    again = resampled(htl, "--mode", "repeat", "--top", 0.5, "--boost", 1, rows=rows)
    assert len({(row["id"], row.get("repeat", 0)) for row in again}) == len(again) == 21


def test_selection_keeps_the_hard_ones(htl):
    """--mode select keeps the top share of the training rows, unchanged."""
    assert resampled(htl, "--mode", "select", "--top", 0.2, rows=ROWS) == ROWS[8:]


def test_suspects_are_dropped_first(htl):
    """--drop-top removes the hardest by --drop-by, and weighs what is left."""
    rows = resampled(htl, "--drop-top", 0.2, "--top", 0.25, rows=ROWS)
    assert [row["id"] for row in rows] == [f"r{i}" for i in range(8)]
    assert [row["weight"] > 1 for row in rows] == [False] * 6 + [True] * 2
    assert [row["id"] for row in resampled(htl, "--drop-top", 0.2, "--drop-by", "drift", rows=ROWS)] == [f"r{i}" for i in range(2, 10)]


def test_dropping_everything_is_refused(htl):
    """What would leave no training row at all is refused."""
    code, out, err = htl("resample", "--by", "loss", "--drop-top", 1, stdin=joined_lines(ROWS))
    assert (code, out) == (65, b"")
    assert err == "htl resample: --drop-top 1.0 leaves no training row\n"


@pytest.mark.parametrize("by", ["random", "area"])
def test_controls_need_no_scores(htl, by):
    """--by random and --by area work on rows that were never scored, and random follows --seed and the id."""
    rows = [row(f"r{i}", boxes=[[0, 0, 10 + i, 50]]) for i in range(10)]
    code, out, _ = htl("resample", "--by", by, stdin=joined_lines(rows))
    assert code == 0
    chosen = {line["id"] for line in split_lines(out) if line.get("weight", 0) > 1}
    assert len(chosen) == 3
    if by == "area":
        assert chosen == {"r0", "r1", "r2"}
    else:
        _, shuffled, _ = htl("resample", "--by", by, stdin=joined_lines(rows[::-1]))
        assert {line["id"] for line in split_lines(shuffled) if line.get("weight", 0) > 1} == chosen
        _, other, _ = htl("resample", "--by", by, "--seed", 3, stdin=joined_lines(rows))
        assert {line["id"] for line in split_lines(other) if line.get("weight", 0) > 1} != chosen


def test_missing_scores_are_told_with_those_that_are_there(htl):
    """A column that rows lack is refused with how many lack it, the first of them, and what to do."""
    code, out, err = htl("resample", "--by", "el2n", stdin=joined_lines(ROWS))
    assert (code, out) == (65, b"")
    assert err == "htl resample: 10 rows have no hardness 'el2n' (the first: 'r0'); these rows have drift, loss\n"
    code, _, err = htl("resample", stdin=joined_lines([row("a"), row("b")]))
    assert (code, err) == (65, "htl resample: 2 rows have no hardness 'pruned_loss' (the first: 'a'); run htl score first\n")
    code, _, err = htl("resample", "--by", "loss", stdin=joined_lines([*ROWS, row("x", hardness=None)]))
    assert (code, err) == (65, "htl resample: 1 rows have no hardness 'loss' (the first: 'x'); these rows have drift, loss\n")


def test_nothing_to_resample(htl):
    """Rows without a training split are refused."""
    code, _, err = htl("resample", stdin=joined_lines([row("t", "test")]))
    assert (code, err) == (65, "htl resample: no annotated row of split train to resample\n")


@pytest.mark.parametrize(
    "options, said",
    [
        (["--soft", "--mode", "select"], "--soft makes weights: it does not go with --mode select"),
        (["--mode", "repeat", "--boost", 0.4], "--mode repeat makes whole copies: --boost 0.4 is none"),
        (["--mode", "select", "--top", 0], "--mode select with --top 0 would leave nothing to train on"),
        (["--drop-by", "loss"], "--drop-by needs --drop-top"),
    ],
)
def test_contradicting_flags(htl, options, said):
    """Flags that contradict each other are refused, never ignored."""
    assert htl("resample", *options, stdin=joined_lines(ROWS)) == (2, b"", f"htl resample: {said}\n")


def test_models_and_history_go_on(htl, scored, dense, pruned):
    """Notes of models go on to the next command, and the history grows by this one."""
    code, out, _ = htl("resample", scored, "--by", "pruned_loss", stdin=b"")
    assert code == 0
    lines = split_lines(out)
    assert {line["role"]: line["path"] for line in lines if line.get("htl") == "model"} == {"dense": str(dense), "pruned": str(pruned)}
    assert len(lines[0]["history"]) == len(read_rows_history(scored)) + 1


def read_rows_history(path):
    """The history of a file of rows."""
    return read_rows(path)[1].history
