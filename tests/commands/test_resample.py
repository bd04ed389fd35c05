"""`htl resample`."""

import random

import numpy as np
import pytest

from htltools.formats.rows.jsonlines import joined_lines, split_lines
from htltools.formats.sources.open_rows import read_rows


def row(name, split="train", **more):
    """An annotated row."""
    return {"id": name, "split": split, "size": [100, 100], "boxes": [[10, 10, 60, 60]], **more}


ROWS = [row(f"r{i}", hardness={"loss": i / 10, "pruned_disagreement": 1 - i / 10}) for i in range(10)]
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


def chosen_by(htl, *args, rows):
    """The rows that resample writes, by id, and its message."""
    code, out, err = htl("resample", *args, stdin=joined_lines(rows))
    assert code == 0, err
    return {line["id"]: line for line in split_lines(out) if "id" in line}, err


def test_the_top_share_weighs_more_and_the_mean_is_one(htl):
    """The hardest 30 % of the training rows get 1 + boost times the weight of the rest; the mean over the training rows is 1."""
    weights = {row["id"]: row["weight"] for row in resampled(htl, "--top", 0.3, "--boost", 1) if "weight" in row}
    assert list(weights) == [f"r{i}" for i in range(10)]
    assert list(weights.values()) == pytest.approx([1 / 1.3] * 7 + [2 / 1.3] * 3)


def test_other_rows_pass_untouched(htl):
    """Rows of other splits, and those without a box, go through as they came, in their place."""
    for options in (["--soft", "--boost", 1], ["--mode", "repeat", "--boost", 1], ["--mode", "select"], ["--drop-top", 0.2]):
        assert [row for row in resampled(htl, *options) if row["id"] in "vtnue"] == ASIDE
    mixed = [ASIDE[0], ROWS[0], ASIDE[1], *ROWS[1:]]
    assert [row["id"] for row in resampled(htl, rows=mixed)] == [row["id"] for row in mixed]


def test_soft_weights_grow_with_rank(htl):
    """--soft spreads the weights evenly over the ranks, from 1 to 1 + boost, with mean 1."""
    weights = [row["weight"] for row in resampled(htl, "--soft", "--boost", 3) if "weight" in row]
    assert weights == pytest.approx((1 + 3 * np.arange(10) / 9) / 2.5)


def test_the_message_of_soft_weights(htl):
    """With --soft no row is called hard, because all of them weigh by rank; with --mark the marked rows are counted."""
    message = chosen_by(htl, "--by", "loss", "--soft", "--boost", 1, rows=ROWS)[1]
    assert message == "htl resample: the weights of 10 training rows grow with rank by loss; 10 rows of 10 go on\n"
    rows, message = chosen_by(htl, "--by", "loss", "--soft", "--boost", 1, "--top", 0.2, "--mark", "hard", rows=ROWS)
    assert message.endswith(" grow with rank by loss, and 2 of them are marked as hard; 10 rows of 10 go on\n")
    assert [name for name, line in rows.items() if line["meta"]["hard"] == "yes"] == ["r8", "r9"]


TIED = [row(f"r{i}", hardness={"loss": 0.5 if i < 8 else i}) for i in range(10)]
TIED += [{"id": f"u{i}", "split": "train", "size": [9, 9], "hardness": {"loss": 1.0}} for i in range(4)]


@pytest.mark.parametrize(
    "options",
    [
        ["--top", 0.4, "--boost", 1],
        ["--soft", "--boost", 3],
        ["--mode", "repeat", "--boost", 1, "--top", 0.4, "--mark", "hard"],
        ["--mode", "select", "--count", 5],
        ["--mode", "select", "--top", 0.5, "--share", 0.2, "--count", 4],
        ["--mode", "select", "--unlabelled", "--count", 2],
        ["--drop-top", 0.4, "--boost", 2],
        ["--by", "random", "--boost", 1],
    ],
)
def test_the_order_of_rows_does_not_matter(htl, options):
    """Every row becomes the same wherever it stands in the stream, also where rows are equally hard."""

    def written(rows):
        lines = resampled(htl, *options, rows=rows)
        return {(line["id"], line.get("repeat", 0)): line for line in lines}

    expected, shuffling = written(TIED), random.Random(0)
    for _ in range(3):
        assert written(shuffling.sample(TIED, len(TIED))) == expected


def test_ties_between_copies_of_a_row(htl):
    """Of copies of one row, which are equally hard, the same are chosen in any order."""
    copies = [row("a", repeat=number, hardness={"loss": 1.0}) for number in range(6)]
    kept = [{line.get("repeat") for line in resampled(htl, "--mode", "select", "--count", 3, rows=rows)} for rows in (copies, copies[::-1])]
    assert kept[0] == kept[1] and len(kept[0]) == 3


def test_ties_at_the_threshold_are_counted(htl):
    """Where some of equally hard rows are chosen, the message counts them and all of these; the seed decides which."""
    message = chosen_by(htl, "--by", "loss", "--top", 0.4, "--boost", 1, rows=TIED)[1]
    assert message == "htl resample: 4 of 10 training rows are hard by loss (2 of 8 that tie at the threshold); 14 rows of 14 go on\n"
    assert "tie" not in chosen_by(htl, "--by", "loss", "--top", 0.2, rows=TIED)[1]
    message = chosen_by(htl, "--by", "loss", "--drop-top", 0.3, "--top", 0, "--boost", 1, rows=TIED)[1]
    assert message.endswith("by loss, 3 dropped (1 of 8 that tie at the threshold); 11 rows of 14 go on\n")
    flags = "--by", "loss", "--boost", 1
    chosen = {
        tuple(name for name, line in chosen_by(htl, *flags, "--seed", seed, rows=TIED)[0].items() if line.get("weight", 0) > 1)
        for seed in range(4)
    }
    assert len(chosen) > 1


def test_columns_have_short_names(htl):
    """--by and --drop-by take the beginning of a name where it is that of one column alone, known to htl or to the rows."""
    rows = [row(f"r{i}", hardness={"pruned_disagreement": 1 - i / 10, "mine": i}) for i in range(10)]
    select = "--mode", "select", "--count", 1
    assert list(chosen_by(htl, "--by", "pruned_d", *select, rows=rows)[0]) == ["r0"]
    assert list(chosen_by(htl, "--by", "min", *select, "--drop-by", "pruned_di", "--drop-top", 0.3, rows=rows)[0]) == ["r9"]
    message = "--drop-by pruned_ may be pruned_disagreement or pruned_shift or pruned_loss; write more of the name"
    assert htl("resample", "--drop-by", "pruned_", "--drop-top", 0.1, stdin=joined_lines(rows)) == (2, b"", f"htl resample: {message}\n")
    code, _, err = htl("resample", "--by", "yours", stdin=joined_lines(rows))
    assert code == 2 and err.startswith("htl resample: --by knows no column 'yours'; it knows pruned_") and err.endswith(", mine\n")


def test_no_boost_is_weight_one(htl):
    """Without --boost, or with --boost 0, every training row gets the weight 1, exactly, whatever it had; the message says so."""
    for options in ([], ["--boost", 0]):
        rows, message = chosen_by(htl, "--by", "loss", *options, rows=[row | {"weight": 3.0} for row in ROWS])
        assert {line["weight"] for line in rows.values()} == {1.0}
        assert message.splitlines()[1:] == [
            "htl resample: all weights are 1: no kind of weight was found to help; --boost X to try, --mode select to choose"
        ]
    for options in (["--boost", 1], ["--mode", "select"]):
        assert "all weights" not in chosen_by(htl, "--by", "loss", *options, rows=ROWS)[1]


def test_repeats_are_numbered(htl):
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
    rows = resampled(htl, "--drop-top", 0.2, "--top", 0.25, "--boost", 1, rows=ROWS)
    assert [row["id"] for row in rows] == [f"r{i}" for i in range(8)]
    assert [row["weight"] > 1 for row in rows] == [False] * 6 + [True] * 2
    assert [row["id"] for row in resampled(htl, "--drop-top", 0.2, "--drop-by", "pruned_disagreement", rows=ROWS)] == [
        f"r{i}" for i in range(2, 10)
    ]


def test_dropping_everything_is_refused(htl):
    """What would leave no training row at all is refused."""
    code, out, err = htl("resample", "--by", "loss", "--drop-top", 1, stdin=joined_lines(ROWS))
    assert (code, out) == (65, b"")
    assert err == "htl resample: --drop-top 1.0 leaves no training row\n"


@pytest.mark.parametrize("by", ["random", "smallness"])
def test_controls_need_no_scores(htl, by):
    """--by random and --by smallness work on rows that were never scored, and random follows --seed and the id."""
    rows = [row(f"r{i}", boxes=[[0, 0, 10 + i, 50]]) for i in range(10)]
    flags = "--by", by, "--boost", 1
    code, out, _ = htl("resample", *flags, stdin=joined_lines(rows))
    assert code == 0
    chosen = {line["id"] for line in split_lines(out) if line.get("weight", 0) > 1}
    assert len(chosen) == 3
    if by == "smallness":
        assert chosen == {"r0", "r1", "r2"}
    else:
        _, shuffled, _ = htl("resample", *flags, stdin=joined_lines(rows[::-1]))
        assert {line["id"] for line in split_lines(shuffled) if line.get("weight", 0) > 1} == chosen
        _, other, _ = htl("resample", *flags, "--seed", 3, stdin=joined_lines(rows))
        assert {line["id"] for line in split_lines(other) if line.get("weight", 0) > 1} != chosen


def test_missing_scores_are_refused(htl):
    """A column that rows lack is refused with how many lack it, the first of them, and what to do."""
    code, out, err = htl("resample", "--by", "el2n", stdin=joined_lines(ROWS))
    assert (code, out) == (65, b"")
    assert err == "htl resample: 10 rows have no hardness 'el2n' (the first: 'r0'); these rows have loss, pruned_disagreement\n"
    code, _, err = htl("resample", stdin=joined_lines([row("a"), row("b")]))
    assert (code, err) == (65, "htl resample: 2 rows have no hardness 'pruned_loss' (the first: 'a'); run htl score first\n")
    code, _, err = htl("resample", "--by", "loss", stdin=joined_lines([*ROWS, row("x", hardness=None)]))
    assert (code, err) == (65, "htl resample: 1 rows have no hardness 'loss' (the first: 'x'); these rows have loss, pruned_disagreement\n")


def test_nothing_to_resample(htl):
    """Rows without a training split are refused."""
    code, _, err = htl("resample", stdin=joined_lines([row("t", "test")]))
    assert (code, err) == (65, "htl resample: no annotated row of split train to resample\n")


@pytest.mark.parametrize(
    "options, message",
    [
        (["--soft", "--mode", "select"], "--soft makes weights: it does not go with --mode select"),
        (
            ["--mode", "repeat", "--boost", 0.4],
            "--mode repeat makes whole copies: --boost 0.4 makes none; name how many, such as --boost 1",
        ),
        (["--mode", "repeat"], "--mode repeat makes whole copies: --boost 0 makes none; name how many, such as --boost 1"),
        (["--soft"], "--soft lets weights grow by --boost, which is 0; name one, such as --boost 1"),
        (["--boost", "inf"], "--boost takes a number, not inf"),
        (["--soft", "--top", 0.5], "--soft weighs all training rows by rank: with it, --top only says which of them --mark marks"),
        (["--mode", "select", "--top", 0], "--mode select with --top 0 would leave nothing to train on"),
        (["--drop-by", "loss"], "--drop-by needs --drop-top"),
        (["--share", 0.1], "--share needs --mode select"),
        (["--mode", "repeat", "--count", 3], "--count needs --mode select"),
        (["--unlabelled"], "--unlabelled needs --mode select"),
        (["--where", "sex=male", "--by", "loss"], "--where says who is hard: it does not go with --by"),
        (["--where", "sex=male", "--top", 0.0], "--where says who is hard: it does not go with --top"),
        (["--where", "sex=male", "--soft"], "--where says who is hard: it does not go with --soft"),
        (
            ["--mode", "select", "--top", 0.1, "--count", 3],
            "--top and --count both say how many stay: name one of them, or --share as well",
        ),
        (["--where", "sex"], "--where takes FIELD=VALUE (or !=, <, <=, >, >=), not 'sex'"),
        (["--by", "loss", "--mark", "split"], "--mark split is the name of a field of rows; choose another name"),
    ],
)
def test_contradicting_flags(htl, options, message):
    """Flags that contradict each other are refused, never ignored."""
    assert htl("resample", *options, stdin=joined_lines(ROWS)) == (2, b"", f"htl resample: {message}\n")


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
