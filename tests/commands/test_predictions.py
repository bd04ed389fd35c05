"""Predictions of other tools: which row a name means, and whether they are one box or several objects."""

import json
import random

import pytest

from htltools.errors import DataError
from htltools.formats.rows.jsonlines import joined_lines, split_lines
from htltools.formats.rows.row import Row
from htltools.formats.rows.stream import check_predictions


def row(name, *boxes, **more):
    """A row of 100 x 100 pixels with these boxes."""
    return {"id": name, "split": "test", "group": name, "size": [100, 100], "boxes": [list(map(float, box)) for box in boxes]} | more


def result(image, box=(20, 15, 40, 30), score=0.9, category=1):
    """A result for an image."""
    return {"image_id": image, "category_id": category, "bbox": list(box), "score": score}


BOX = [20, 15, 60, 45]


@pytest.fixture
def measured(htl, tmp_path):
    """Exit code, metrics by name and stderr of `htl evaluate` on rows and results."""

    def measure(rows, results, *flags):
        (tmp_path / "p.json").write_text(json.dumps(results))
        code, out, err = htl("evaluate", "--predictions", tmp_path / "p.json", *flags, stdin=joined_lines(rows))
        return code, {line["metric"]: line["value"] for line in split_lines(out)}, err

    return measure


def test_a_name_that_fits_several_rows_is_refused(measured):
    """A bare name is never guessed; a longer end decides, whatever stands before it."""
    rows = [row("x/a", BOX), row("y/a", BOX)]
    code, _, err = measured(rows, [result("a.png")])
    assert code == 65 and "the name 'a.png' fits 2 rows, such as 'x/a' and 'y/a'; name images by longer paths" in err
    for name in ("x/a.png", "C:\\data\\x\\a.png", "/elsewhere/x/a.jpg", "./x/a", "http://h/?d=x/a.png"):
        code, metrics, err = measured(rows, [result(name), result("y/a.png", [0, 0, 1, 1])])
        assert (code, metrics["iou_mean"]) == (0, pytest.approx(0.5)), err


def test_names_end_like_files(measured):
    """An id that itself ends as a file does is found by its name, with and without the suffix."""
    rows = [row("scan.jpg", BOX), row("000012", BOX)]
    for name in ("scan.jpg", "scan.jpg.png"):
        assert measured(rows, [result(name), result("000012.png")])[1]["iou_mean"] == pytest.approx(1)
    code, _, err = measured(rows, [result(12)])
    assert code == 65 and "the image_id 12 is a number, and nothing says which image that is" in err
    assert measured(rows, [result("12")])[0] == 65


def test_kind_does_not_depend_on_one_row(measured):
    """How many boxes a row has does not decide: rows without labels mean one box, and a row with several is refused by name."""
    rows = [row(f"r{i}", BOX) for i in range(4)]
    results = [result(f"r{i}") for i in range(4)]
    code, metrics, err = measured(rows, results)
    assert (code, metrics["iou_mean"], "ap50" in metrics) == (0, pytest.approx(1), False)
    assert "read as one box an image: no row has the field labels" in err
    several = [*rows, row("two", BOX, [70, 70, 90, 90])]
    code, _, err = measured(several, results)
    assert code == 65 and "'two' has 2 boxes, and the predictions are read as one box an image; name --objects" in err
    code, metrics, err = measured(several, results, "--objects")
    assert (code, "ap50" in metrics) == (0, True) and "read as several objects an image: as asked" in err
    labelled = [*rows, row("two", BOX, labels=["object"])]
    assert "ap50" in measured(labelled, results)[1] and "ap50" not in measured(labelled, results, "--one-box")[1]


def test_the_order_of_rows_does_not_matter(htl, tmp_path):
    """Shuffled rows have the same scores, also where a row of several objects comes last."""
    rows = [row(f"r{i}", BOX, labels=["nv"]) for i in range(5)] + [row("two", BOX, [70, 70, 90, 90], labels=["nv", "nv"]), row("none")]
    (tmp_path / "p.json").write_text(json.dumps([result(each["id"]) for each in rows[1:]]))
    scores = []
    for _ in range(3):
        code, out, err = htl("score", "--predictions", *[tmp_path / "p.json"] * 2, "--batch-size", 2, stdin=joined_lines(rows))
        assert code == 0, err
        scores.append({line["id"]: line["hardness"] for line in split_lines(out) if "id" in line})
        random.Random(1).shuffle(rows)
    assert scores[0] == scores[1] == scores[2] and scores[0]["r0"]["loss"] == 1


def test_one_category_is_the_one_class(measured, tmp_path):
    """A single category is the single class of rows, whatever it is called; several need rows with labels."""
    data_set = {"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 1, "name": "lesion"}], "annotations": []}
    (tmp_path / "set.json").write_text(json.dumps(data_set))
    flags = "--coco", tmp_path / "set.json", "--objects"
    code, metrics, err = measured([row("a", BOX)], [result(1)], *flags)
    assert (code, metrics["ap50"]) == (0, pytest.approx(1)), err
    data_set["categories"].append({"id": 2, "name": "other"})
    (tmp_path / "set.json").write_text(json.dumps(data_set))
    code, _, err = measured([row("a", BOX)], [result(1), result("1", category="2")], *flags)
    assert code == 65 and "has predictions of 2 categories, and the rows have no field labels" in err


def test_a_hundred_objects_of_a_class_count(measured):
    """As maxDets of COCO: of more objects of an image those of highest score are used."""
    many = [result("a", [50, 50, 10, 10], 0.9)] * 100
    assert measured([row("a", BOX)], [*many[:99], result("a", score=0.6)], "--objects")[1]["ap50"] > 0
    assert measured([row("a", BOX)], [*many, result("a", score=0.6)], "--objects")[1]["ap50"] == 0


def test_parts_scored_as_different_kinds_do_not_mix(htl, tmp_path):
    """split | score | cat of parts that are read as one box and as several objects is refused: two formulas would stand in one column."""
    parts = [[row("a", BOX), row("b", BOX)], [row("c", BOX, labels=["nv"]), row("d", BOX, labels=["nv"])]]
    (tmp_path / "p.json").write_text(json.dumps([result(name) for name in "abcd"]))
    scored = [htl("score", "--predictions", *[tmp_path / "p.json"] * 2, stdin=joined_lines(part))[1] for part in parts]
    for command in (["evaluate", "--hard", "loss"], ["resample"], ["report", "-o", tmp_path / "r.html"]):
        code, out, err = htl(*command, stdin=b"".join(scored))
        assert (code, out) == (65, b"") and "rows mix predictions of two kinds: 'a' has one box" in err, err
    assert "rows mix" not in htl("evaluate", "--hard", "loss", stdin=scored[0])[2]


def test_rows_scored_twice_hold_both_kinds():
    """Rows that hold a box and objects each were scored by models of both kinds, and are no mixture."""
    check_predictions([Row(id=name, predicted={"dense": [0, 0, 1, 1]}, detected={"dense": {"boxes": []}}) for name in "ab"])
    with pytest.raises(DataError, match="mix predictions of two kinds"):
        check_predictions([Row(id="a", predicted={"dense": [0, 0, 1, 1]}), Row(id="b"), Row(id="c", detected={"dense": {"boxes": []}})])
