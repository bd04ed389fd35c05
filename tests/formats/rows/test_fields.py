"""Fields of rows, conditions on them, and cells of tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htltools.errors import UsageError
from htltools.formats.rows.fields import cell, condition, field

ROW = {
    "id": "a",
    "split": "test",
    "label": "nv",
    "meta": {"age": 45, "sex": "male", "split": "mine"},
    "hardness": {"pruned_disagreement": 0.31, "age": 1},
}


def test_fields_are_found_by_their_short_and_long_names():
    """A key of the row wins over one of meta, and that over one of hardness; a dot chooses between them."""
    assert field(ROW, "split") == "test"
    assert field(ROW, "meta.split") == "mine"
    assert field(ROW, "age") == 45
    assert field(ROW, "hardness.age") == 1
    assert field(ROW, "pruned_disagreement") == 0.31
    assert field(ROW, "nothing") is None
    assert field(ROW, "meta.nothing") is None
    assert field({"id": "a", "dotted.key": 2}, "dotted.key") == 2


@pytest.mark.parametrize(
    "text, holds",
    [
        ("sex=male", True), ("sex=female", False), ("sex!=female", True), ("age>=45", True), ("age>45", False), ("age<100", True),
        ("age<=44.5", False), ("pruned_disagreement<0.5", True), ("hardness.pruned_disagreement=0.31", True), ("meta.split=mine", True),
        (" label = nv ", True),
        ("age=45.0", True), ("nothing=1", False), ("nothing<1", False), ("nothing!=1", True), ("nothing!=", False), ("sex!=", True),
    ],
)  # fmt: skip
def test_conditions(text, holds):
    """Numbers are compared as numbers; a row without the field fails every test but !=."""
    assert condition(text)(ROW) is holds


@pytest.mark.parametrize("text", ["", "sex", "=male", "<3", "  "])
def test_what_is_no_condition_is_refused(text):
    """A condition without a field or a sign is refused in the words of the manual."""
    with pytest.raises(UsageError) as caught:
        condition(text)
    assert str(caught.value) == f"--where takes FIELD=VALUE (or !=, <, <=, >, >=), not {text!r}"


finite = st.floats(-1e9, 1e9)


@given(finite, finite)
def test_signs_agree_with_python(value, wanted):
    """Every sign compares as it does for numbers."""
    row = {"id": "a", "meta": {"x": value}}
    results = {sign: condition(f"x{sign}{wanted!r}")(row) for sign in ("<", "<=", ">", ">=", "=", "!=")}
    assert results == {
        "<": value < wanted, "<=": value <= wanted, ">": value > wanted, ">=": value >= wanted, "=": value == wanted, "!=": value != wanted,
    }  # fmt: skip


@given(st.text())
def test_cells_hold_no_tab_and_no_newline(text):
    """A cell never breaks the table it stands in."""
    assert not set(cell(text)) & set("\t\n\r\v\f")


def test_cells_are_short():
    """Numbers have six digits, lists are joined, nothing is empty."""
    assert [cell(value) for value in (None, 0.123456789, 7, [1.0, [2.5]], True)] == ["", "0.123457", "7", "1 2.5", "True"]
