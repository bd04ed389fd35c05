"""`htl evaluate --hard`: who is hard."""

import sys

import numpy as np
import pytest

from htltools import console
from htltools.formats.rows.jsonlines import joined_lines, split_lines

KEYS = ["metric", "split", "subgroup", "n", "hard", "value", "low", "high", "p", "q", "column", "top", "few", "adjusted"]


def row(i, sex, pruned_disagreement):
    """A training row of the i-th patient, with an area and a random loss of its own."""
    side = 20 + i % 50
    meta = {"sex": sex, "site": "back" if i % 3 else "face", "image": f"p{i}"}
    box = [[0.0 if i % 7 == 0 else 5.0, 5.0, 5.0 + side, 5.0 + side]]
    hardness = {"pruned_disagreement": pruned_disagreement, "loss": float(np.random.default_rng(i).random())}
    return {
        "id": f"s{i}",
        "group": f"g{i}",
        "split": "train",
        "size": [100, 100],
        "boxes": box,
        "label": "nv",
        "meta": meta,
        "hardness": hardness,
    }


# 40 of 100 women and 20 of 200 others are hard: 40 * 180 / (60 * 20) = 6
ROWS = [
    row(i, "female" if i < 100 else "male" if i < 280 else None, 1 + i / 1000 if i < 40 or 200 <= i < 220 else i / 1000) for i in range(300)
]


@pytest.fixture
def odds(htl):
    """The lines for ROWS, by column and subgroup, and what is said beside them."""
    code, out, err = htl("evaluate", "--split", "train", "--hard", "pruned_disagreement", "--top", "0.2", stdin=joined_lines(ROWS))
    assert code == 0, err
    return {(line["column"], *line["subgroup"].items()): line for line in split_lines(out)}, err


def test_who_is_hard(odds):
    """Every level of every field has a line with the odds ratio of pencil and paper, and `unknown` is a level; no model is needed."""
    lines, err = odds
    women = lines["pruned_disagreement", ("sex", "female")]
    assert list(women) == KEYS
    assert (women["n"], women["hard"], women["value"], women["top"], women["few"]) == (100, 40, 6, 0.2, False)
    assert women["low"] < 6 < women["high"]
    assert women["p"] < women["q"] < 1e-6
    assert women["adjusted"]["value"] == pytest.approx(6, rel=0.3)
    assert lines["pruned_disagreement", ("sex", "unknown")]["few"]
    assert lines["pruned_disagreement", ("sex", "unknown")]["adjusted"] == dict.fromkeys(["value", "low", "high", "p", "q"])
    assert "train: 60 of 300 samples are hard by pruned_disagreement" in err


def test_controls_stand_beside(odds):
    """The same lines come for loss and random, where women stand out no more than chance lets them."""
    lines, _ = odds
    assert [column for column, *names in lines if names == [("sex", "female")]] == ["pruned_disagreement", "loss", "random"]
    assert all(lines[column, ("sex", "female")]["q"] > 0.05 for column in ("loss", "random"))


def test_columns_that_are_ids_are_left_out(odds):
    """A column with a level for each row, and a label of which there is one, are no fields to go by; the first is named."""
    lines, err = odds
    assert {name for _, (name, _) in lines} == {"sex", "site"}
    assert "no subgroups by default: image (has more than 16 levels); --group-by takes any field" in err


def test_ages_are_in_bands(htl):
    """Ages are in the bands that the summary and the report have, and in their order; each row is in one of them."""
    rows = [row(i, "female", i / 100) | {"meta": {"age": 5 * (i % 19), "license": "ab"[i % 2]}} for i in range(190)]
    _, out, err = htl("evaluate", "--split", "train", "--hard", "pruned_disagreement", stdin=joined_lines(rows))
    bands = [(line["subgroup"]["age"], line["n"]) for line in split_lines(out) if line["column"] == "pruned_disagreement"]
    assert bands == [("0-19", 40), ("20-39", 40), ("40-59", 40), ("60-79", 40), ("80-99", 30)]
    assert "no subgroups by default: license (describes the file); " in err


def test_crossed_fields_of_ones_own_choice(htl):
    """--group-by says which fields, crossed with a star."""
    _, out, _ = htl("evaluate", "--split", "train", "--hard", "loss", "--group-by", "sex*site", stdin=joined_lines(ROWS))
    lines = split_lines(out)
    assert {line["column"] for line in lines} == {"loss", "random"}
    assert lines[0]["subgroup"] == {"sex": "female", "site": "back"}
    assert sum(line["n"] for line in lines) == 2 * 300


def test_a_person_gets_a_table(htl, monkeypatch):
    """On a terminal a subgroup is a line: the odds ratio, adjusted, and by the controls; a star marks a q below 0.05."""
    monkeypatch.setattr(console, "is_terminal", lambda stream: stream is sys.stdout)
    monkeypatch.setenv("COLUMNS", "100")
    text = htl("evaluate", "--split", "train", "--hard", "pruned_disagreement", "--top", "0.2", stdin=joined_lines(ROWS))[1].decode()
    assert "sex female" in text and "6.00* [" in text and "20 few" in text
    assert "{" not in text


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--top", "0.1"], 2, "--top says who is hard: it needs --hard"),
        (["--hard", "pruned_disagreement", "--fail-under", "iou_mean=0.8"], 2, "--fail-under needs a model, and --hard runs none"),
        (["--hard", "pruned_shift"], 65, "300 rows have no hardness 'pruned_shift'"),
    ],
)
def test_what_cannot_be_computed(htl, flags, code, message):
    """A share of nothing, a limit without a model and a column that is not there are refused in one line."""
    exit_code, out, err = htl("evaluate", "--split", "train", *flags, stdin=joined_lines(ROWS))
    assert (exit_code, out) == (code, b"")
    assert message in err


def test_ties_are_broken_by_a_hash(htl):
    """Where most rows are equally hard, the same ones count as hard in any order of rows, women first or men; how many tie is said."""
    rows = [row(i, "female" if i < 100 else "male", 0.0) | {"hardness": {"pie": float(i == 7)}} for i in range(200)]
    lines, errors = zip(
        *(htl("evaluate", "--split", "train", "--hard", "pie", stdin=joined_lines(order))[1:] for order in (rows, rows[::-1]))
    )
    assert lines[0] == lines[1]
    assert "train: 60 of 200 samples are hard by pie (59 of 199 that tie at the threshold)" in errors[0]
    women = next(line for line in split_lines(lines[0]) if line["subgroup"] == {"sex": "female"})
    assert 0.4 < women["value"] < 2.5
