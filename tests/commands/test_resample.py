"""`htl resample`."""

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
    code, out, _ = htl("resample", "--by", by, stdin=joined_lines(rows))
    assert code == 0
    chosen = {line["id"] for line in split_lines(out) if line.get("weight", 0) > 1}
    assert len(chosen) == 3
    if by == "smallness":
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
    assert err == "htl resample: 10 rows have no hardness 'el2n' (the first: 'r0'); these rows have pruned_disagreement, loss\n"
    code, _, err = htl("resample", stdin=joined_lines([row("a"), row("b")]))
    assert (code, err) == (65, "htl resample: 2 rows have no hardness 'pruned_loss' (the first: 'a'); run htl score first\n")
    code, _, err = htl("resample", "--by", "loss", stdin=joined_lines([*ROWS, row("x", hardness=None)]))
    assert (code, err) == (65, "htl resample: 1 rows have no hardness 'loss' (the first: 'x'); these rows have pruned_disagreement, loss\n")


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
def test_contradicting_flags(htl, options, said):
    """Flags that contradict each other are refused, never ignored."""
    assert htl("resample", *options, stdin=joined_lines(ROWS)) == (2, b"", f"htl resample: {said}\n")


def site(name, where, split="train", **more):
    """An annotated row of a site; images of one letter are a group."""
    return row(name, split, group=name[0], meta={"site": where}, **more)


# 4 images of the face in two lesions, 12 of the back in ten
SITES = [site(name, "face") for name in ("a1", "a2", "b1", "b2")]
SITES += [site(name, "back") for name in ("c1", "c2", "d1", "d2", *"efghijkl")]


def chosen_by(htl, *args, rows=SITES):
    """The rows that resample writes, by id, and what it says."""
    code, out, err = htl("resample", *args, stdin=joined_lines(rows))
    assert code == 0, err
    return {line["id"]: line for line in split_lines(out) if "id" in line}, err


def test_a_condition_says_who_is_hard(htl):
    """--where takes the place of --by and --top in every mode, needs no scores, and several conditions must all hold."""
    weights = {name: line["weight"] for name, line in chosen_by(htl, "--where", "site=face", "--boost", 8)[0].items()}
    assert weights == {name: pytest.approx((9 if name[0] in "ab" else 1) / 3) for name in weights}
    rows = chosen_by(htl, "--where", "site=face", "--where", "id!=a1", "--mode", "select")[0]
    assert list(rows) == ["a2", "b1", "b2"]
    _, out, _ = htl("resample", "--where", "site=face", "--mode", "repeat", stdin=joined_lines(SITES))
    assert sorted(line["id"] for line in split_lines(out) if line.get("repeat")) == ["a1", "a2", "b1", "b2"]


def test_nobody_fits_a_condition(htl):
    """A condition that no training row fits is refused, and so is a field that none has."""
    code, out, err = htl("resample", "--where", "site=hand", stdin=joined_lines(SITES))
    assert (code, out, err) == (65, b"", "htl resample: no training row fits --where site=hand\n")
    code, _, err = htl("resample", "--where", "sight=face", stdin=joined_lines(SITES))
    assert code == 65
    assert err.startswith("htl resample: no row has a field 'sight'; the first has id, ")


def test_hard_rows_are_made_rare(htl):
    """--share leaves so many of the hard rows that they make up that share, drawn by whole groups, and all others."""
    rows, said = chosen_by(htl, "--where", "site=face", "--mode", "select", "--share", 0.15)
    faces = {name[0] for name in rows if name[0] in "ab"}
    assert len(rows) == 14
    assert len(faces) == 1  # one lesion with both of its images: 2 of 14
    assert said == "htl resample: 4 of 16 training rows are hard by site=face, 2 of the 14 that stay; 14 rows of 16 go on\n"
    assert not {"a1", "b1"} & chosen_by(htl, "--where", "site=face", "--mode", "select", "--share", 0)[0].keys()


def test_a_count_of_rows_with_a_rare_part(htl):
    """--count with --share says how many rows stay in all; no lesion is parted; another seed draws others."""
    args = ["--where", "site=face", "--mode", "select", "--share", 0.2, "--count", 10]
    drawn = [tuple(chosen_by(htl, *args, "--seed", seed)[0]) for seed in range(6)]
    for names in drawn:
        assert len(names) == 10
        assert sum(name[0] in "ab" for name in names) == 2
        assert all(("c1" in names) == ("c2" in names) and ("d1" in names) == ("d2" in names) for names in drawn)
    assert len(set(drawn)) > 1
    assert tuple(chosen_by(htl, *args)[0]) == drawn[0]
    code, out, err = htl("resample", *args[:4], "--share", 0.5, "--count", 10, stdin=joined_lines(SITES))
    assert (code, out) == (65, b"")
    assert err == "htl resample: 5 hard rows of 10 are wanted, and there are 4; lower --count or --share\n"


def test_the_smallest_are_made_rare(htl):
    """--by smallness --top --share works without scores; splits val and test stay whole."""
    rows = [row(f"r{i}", boxes=[[0, 0, 10 + i, 50]]) for i in range(40)] + [row("v", "val")]
    names = chosen_by(htl, "--by", "smallness", "--top", 0.25, "--mode", "select", "--share", 0.1, "--count", 20, rows=rows)[0]
    assert len(names) == 21
    assert sum(name in names for name in [f"r{i}" for i in range(10)]) == 2
    assert "v" in names


def test_a_count_of_the_hardest(htl):
    """--count alone takes the place of --top: so many of the hardest, or of those who fit, by whole groups."""
    assert resampled(htl, "--mode", "select", "--count", 3, rows=ROWS) == ROWS[7:]
    names = chosen_by(htl, "--where", "site=face", "--mode", "select", "--count", 2)[0]
    assert set(names) in ({"a1", "a2"}, {"b1", "b2"})
    code, _, err = htl("resample", "--by", "loss", "--mode", "select", "--count", 11, stdin=joined_lines(ROWS))
    assert (code, err) == (65, "htl resample: 11 rows are wanted, and there are 10; lower --count\n")


def test_marks_stand_in_every_split(htl):
    """--mark writes yes or no into meta of every row that has the column: other splits go by the threshold of the training rows."""
    others = [row("v1", "val", hardness={"loss": 0.7}, meta={"sex": "male"}), row("v2", "test", hardness={"loss": 0.69}), row("t", "test")]
    rows = chosen_by(htl, "--by", "loss", "--top", 0.3, "--mark", "rare", rows=[*ROWS, *others])[0]
    assert {name: line.get("meta") for name, line in rows.items()} == {
        **{f"r{i}": {"rare": "yes" if i > 6 else "no"} for i in range(10)},
        "v1": {"sex": "male", "rare": "yes"},
        "v2": {"rare": "no"},
        "t": None,
    }
    marked, _ = chosen_by(htl, "--where", "site=face", "--mark", "rare", rows=[*SITES, site("z", "face", "test"), site("y", "back", "val")])
    assert [name for name, line in marked.items() if line["meta"]["rare"] == "yes"] == ["a1", "a2", "b1", "b2", "z"]
    again = chosen_by(htl, "--where", "rare=yes", "--boost", 8, rows=list(marked.values()))[0]
    assert {name[0] for name, line in again.items() if line.get("weight", 0) > 1} == {"a", "b"}


def test_a_mark_overwrites_no_metadata(htl):
    """A field of meta that says something else than yes or no is not overwritten."""
    code, out, err = htl("resample", "--where", "site=face", "--mark", "site", stdin=joined_lines(SITES))
    assert (code, out) == (65, b"")
    assert err == "htl resample: the rows have a field 'site' already, such as 'face'; choose another name for --mark\n"


def test_what_to_annotate_next(htl):
    """--unlabelled puts out the hardest training rows without a box, and nothing else."""
    pool = [{"id": f"u{i}", "split": "train", "size": [9, 9], "hardness": {"pruned_disagreement": i / 10}} for i in range(6)]
    rows, said = chosen_by(
        htl, "--mode", "select", "--unlabelled", "--by", "pruned_disagreement", "--count", 2, rows=[*ROWS, *pool[::-1], *ASIDE[:2]]
    )
    assert list(rows) == ["u5", "u4"]
    assert said == "htl resample: 2 of 6 training rows are hard by pruned_disagreement; 2 rows of 18 go on\n"
    code, _, err = htl("resample", "--mode", "select", "--unlabelled", "--by", "loss", stdin=joined_lines(pool))
    assert (code, err) == (65, "htl resample: 6 rows have no hardness 'loss' (the first: 'u0'); these rows have pruned_disagreement\n")
    code, _, err = htl("resample", "--mode", "select", "--unlabelled", "--by", "pruned_disagreement", stdin=joined_lines(ROWS))
    assert (code, err) == (65, "htl resample: no row of split train without a box\n")


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


SCORED = {"hardness": {"pruned_disagreement": 0.1}, "predicted": {"dense": [10, 10, 50, 50], "pruned": [20, 10, 60, 60]}}
UNSEEN = [{"id": f"p{i}", "split": "train", "size": [100, 100]} | SCORED | {"hardness": {"pruned_disagreement": i / 10}} for i in range(10)]


def test_pseudo_boxes_are_the_mean_answer(htl):
    """--pseudo gives training rows without a box the mean of the dense and the pruned one, and marks them; annotated rows stay."""
    aside = [row("a") | SCORED, row("e") | SCORED | {"boxes": []}, row("v", "val"), {"id": "n", "split": "train", "size": [9, 9]}]
    code, out, err = htl("resample", "--pseudo", "--by", "pruned_disagreement", "--boost", -1, stdin=joined_lines(UNSEEN + aside))
    assert code == 0, err
    rows = [line for line in split_lines(out) if "id" in line]
    assert rows[10:] == aside
    assert all((r["boxes"], r["pseudo"]) == ([[15, 10, 55, 55]], True) for r in rows[:10])
    assert [r["weight"] for r in rows[:10]] == pytest.approx([1 / 0.7] * 7 + [0] * 3)


def test_pseudo_boxes_are_renewed(htl):
    """A second round replaces the pseudo-boxes of the first one."""
    once = [r | {"boxes": [[1, 1, 2, 2]], "pseudo": True} for r in UNSEEN]
    code, out, _ = htl("resample", "--pseudo", "--by", "random", "--boost", 0, stdin=joined_lines(once))
    rows = [line for line in split_lines(out) if "id" in line]
    assert (code, {tuple(r["boxes"][0]) for r in rows}, {r["weight"] for r in rows}) == (0, {(15, 10, 55, 55)}, {1.0})


def test_pseudo_objects_are_those_of_the_dense_model(htl):
    """Where models find several objects, a row without boxes gets what the dense one found, classes with them; nothing found is nothing."""
    found = {"boxes": [[1, 2, 5, 6], [3, 3, 3, 9]], "labels": ["left", "right"], "scores": [0.9, 0.8]}
    nothing = {"boxes": [], "labels": [], "scores": []}
    plain = {"split": "train", "size": [9, 9], "hardness": {"pruned_disagreement": 0.1}}
    rows = [plain | {"id": "a", "detected": {"dense": found}}, plain | {"id": "b", "detected": {"dense": nothing, "pruned": found}}]
    code, out, err = htl("resample", "--pseudo", "--by", "pruned_disagreement", "--boost", 0, stdin=joined_lines(rows))
    assert code == 0, err
    first, second = (line for line in split_lines(out) if "id" in line)
    assert (first["boxes"], first["labels"], first["pseudo"]) == ([[1, 2, 5, 6]], ["left"], True)
    assert second == rows[1]


@pytest.mark.parametrize(
    "args, code, said",
    [
        (["--pseudo", "--unlabelled", "--mode", "select"], 2, "--pseudo annotates the rows that --unlabelled looks for; use one of them"),
        (["--boost", -1, "--top", 1], 2, "--boost -1 leaves out the hard rows, and all of them are hard; lower --top"),
        (["--mode", "repeat", "--boost", -1], 2, "--mode repeat makes whole copies: --boost -1 is none"),
        (["--pseudo"], 65, "no row of split train without a box has a predicted one: run htl score first"),
    ],
)
def test_what_cannot_be_is_refused(htl, args, code, said):
    """Flags that contradict each other, and rows without an answer, are errors."""
    found, out, err = htl("resample", "--by", "loss", *args, stdin=joined_lines(ROWS))
    assert (found, out) == (code, b"")
    assert said in err
