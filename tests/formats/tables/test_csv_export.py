"""Rows as CSV."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htltools.formats.rows.row import Row
from htltools.formats.tables.csv_export import csv_lines
from htltools.formats.tables.csv_table import read_table

ROWS = [Row(row) for row in (
    {"id": "a", "group": "P1", "split": "train", "size": [200, 100], "boxes": [[10.0, 20.5, 40.0, 60.0], [0, 0, 5, 5]], "label": "n,v",
     "mine": [1, 2.5], "meta": {"age": 40, "Site": 'the "back"\r\nlow', "x0": 7}, "hardness": {"suspect": 1 / 3}, "store": "s.h5"},
    {"id": "a", "repeat": 1},
    {"id": "b", "boxes": [], "size": [9, 9], "hardness": {}, "predicted": {"dense": [0, 1, 2, 3]}, "other": {"k": True}},
    {"id": "c", "boxes": [[1, 2, 3, 4]], "size": [9, 9], "pseudo": True, "weight": 0.5},
)]  # fmt: skip


def table(rows, columns=None):
    """The cells of the CSV, as Python reads them."""
    return list(csv.reader("".join(csv_lines(rows, columns)).splitlines(keepends=True)))


def test_all_there_is():
    """Without columns all fields come: a line for each box, numbers in full, absent values empty, no repeats and no pseudo boxes."""
    heading, *lines = table(ROWS)
    assert heading == [
        "id", "group_id", "split", "label", "x0", "y0", "x1", "y1", "has_box", "width", "height", "mine", "other", "pseudo", "weight",
        "age", "Site", "meta.x0", "hardness.suspect", "predicted.dense",
    ]  # fmt: skip
    assert lines[0] == [
        "a", "P1", "train", "n,v", "10.0", "20.5", "40.0", "60.0", "1", "200", "100", "1 2.5", "", "", "",
        "40", 'the "back"\r\nlow', "7", "0.3333333333333333", "",
    ]  # fmt: skip
    assert [line[0] for line in lines] == ["a", "a", "b", "c"]
    assert lines[1][4:8] == ["0", "0", "5", "5"] and lines[2][4:9] == [*[""] * 4, "0"] and lines[3][4:9] == [""] * 5
    assert lines[2][11:15] == ["", '{"k":true}', "", ""] and lines[2][-1] == "0 1 2 3" and lines[3][13:15] == ["true", "0.5"]


def test_chosen_fields():
    """With columns each row is one line of these, under the names they were asked by; lines end as RFC 4180 has it."""
    assert list(csv_lines(ROWS[:1], ["id", "suspect", "boxes"])) == [
        "id,suspect,boxes\r\n",
        'a,0.3333333333333333,"[[10.0,20.5,40.0,60.0],[0,0,5,5]]"\r\n',
    ]
    assert list(csv_lines([], None))[0].startswith("x0,y0,x1,y1,width")


def test_prepare_reads_it(tmp_path):
    """The table of `prepare` finds ids, groups, splits, labels and boxes in it without being asked, and the rest is meta."""
    (tmp_path / "rows.csv").write_text("".join(csv_lines(ROWS, None)), newline="")
    annotations = read_table(tmp_path / "rows.csv")
    facts, first = annotations.facts, annotations.facts["a"]
    roles = {"ids": "column id", "groups": "column group_id", "boxes": "columns x0, y0, x1, y1 (xyxy)", "frames": "columns width, height"}
    assert annotations.roles == annotations.roles | roles and first.frame == (200, 100)
    assert (first.group, first.split, first.label, first.boxes) == ("P1", "train", "n,v", ROWS[0]["boxes"])
    assert first.meta | {"age": 40, "Site": 'the "back"\r\nlow', "hardness.suspect": 1 / 3} == first.meta
    assert (facts["b"].boxes, facts["c"].boxes, facts["b"].meta.keys() & {"has_box"}) == ([], None, set())


@given(st.lists(st.text(st.characters(codec="utf-8"))))
def test_any_text_survives(texts):
    """Commas, quotes and line ends of the data's own come back as they were."""
    rows = [Row(id=str(i), meta={"note": text}) for i, text in enumerate(texts)]
    assert [line[1] for line in csv.reader(csv_lines(rows, ["id", "note"]))][1:] == texts


def test_each_box_has_its_class(tmp_path):
    """Boxes with classes of their own have them as label of their lines, and the table of `prepare` finds them again."""
    row = Row(id="a", size=[9, 9], boxes=[[0, 0, 4, 4], [5, 5, 9, 9]], labels=["left", "right"], detected={})
    lines = list(csv_lines([row, Row(id="b", size=[9, 9], boxes=[])], None))
    assert lines[0].startswith("id,label,x0,y0,x1,y1,has_box,width,height")
    assert [line.split(",")[:3] for line in lines[1:]] == [["a", "left", "0"], ["a", "right", "5"], ["b", "", ""]]
    (tmp_path / "rows.csv").write_text("".join(lines), newline="")
    facts = read_table(tmp_path / "rows.csv").facts
    assert (facts["a"].labels, facts["a"].boxes) == (row["labels"], row["boxes"])


@pytest.mark.parametrize("label", [None, "normal", "0"])
@pytest.mark.parametrize("boxes", [[], [[0, 0, 4, 4]]])
def test_known_to_hold_none(tmp_path, boxes, label):
    """Images that are known to hold nothing, and those that nobody annotated, are told apart again, whatever labels they have."""
    rows = [Row(id="a", boxes=boxes), Row(id="b", boxes=[]), Row(id="c")]
    rows = [row | ({"label": label} if label else {}) for row in rows]
    (tmp_path / "rows.csv").write_text("".join(csv_lines(rows, None)), newline="")
    facts = read_table(tmp_path / "rows.csv").facts
    assert [facts[name].boxes for name in "abc"] == [boxes, [], None]
