"""`htl resample --pseudo`: predictions in place of boxes."""

import pytest

from htltools.formats.rows.jsonlines import joined_lines, split_lines


def row(name, split="train", **more):
    """An annotated row."""
    return {"id": name, "split": split, "size": [100, 100], "boxes": [[10, 10, 60, 60]], **more}


ROWS = [row(f"r{i}", hardness={"loss": i / 10, "pruned_disagreement": 1 - i / 10}) for i in range(10)]
SCORED = {"hardness": {"pruned_disagreement": 0.1}, "predicted": {"dense": [10, 10, 50, 50], "pruned": [20, 10, 60, 60]}}
UNSEEN = [{"id": f"p{i}", "split": "train", "size": [100, 100]} | SCORED | {"hardness": {"pruned_disagreement": i / 10}} for i in range(10)]


def test_pseudo_boxes_are_the_mean_prediction(htl):
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
    """Of models of several objects, a row without boxes gets those of the dense one and their classes; without any it stays as it is."""
    detected = {"boxes": [[1, 2, 5, 6], [3, 3, 3, 9]], "labels": ["left", "right"], "scores": [0.9, 0.8]}
    nothing = {"boxes": [], "labels": [], "scores": []}
    plain = {"split": "train", "size": [9, 9], "hardness": {"pruned_disagreement": 0.1}}
    rows = [plain | {"id": "a", "detected": {"dense": detected}}, plain | {"id": "b", "detected": {"dense": nothing, "pruned": detected}}]
    code, out, err = htl("resample", "--pseudo", "--by", "pruned_disagreement", "--boost", 0, stdin=joined_lines(rows))
    assert code == 0, err
    first, second = (line for line in split_lines(out) if "id" in line)
    assert (first["boxes"], first["labels"], first["pseudo"]) == ([[1, 2, 5, 6]], ["left"], True)
    assert second == rows[1]


@pytest.mark.parametrize(
    "args, code, message",
    [
        (["--pseudo", "--unlabelled", "--mode", "select"], 2, "--pseudo annotates the rows that --unlabelled looks for; use one of them"),
        (["--boost", -1, "--top", 1], 2, "--boost -1 leaves out the hard rows, and all of them are hard; lower --top"),
        (["--mode", "repeat", "--boost", -1], 2, "--mode repeat makes whole copies: --boost -1 makes none"),
        (["--pseudo"], 65, "no row of split train without a box has a predicted one: run htl score first"),
    ],
)
def test_impossible_pseudo_boxes_are_refused(htl, args, code, message):
    """Flags that contradict each other, and rows without a prediction, are errors."""
    exit_code, out, err = htl("resample", "--by", "loss", *args, stdin=joined_lines(ROWS))
    assert (exit_code, out) == (code, b"")
    assert message in err
