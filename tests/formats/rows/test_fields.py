"""Fields of rows, conditions on them, and cells of tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htltools.errors import DataError, UsageError
from htltools.formats.rows.fields import cell, condition, explain_no_match, field

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
        ("sex==male", True), ("age==45", True), ("age=45.0", True), ("nothing=1", False), ("nothing<1", False), ("nothing!=1", True),
        ("nothing!=", False), ("sex!=", True),
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


def test_numbers_and_texts_have_no_order():
    """A number is neither more nor less than a text: that is refused, and not answered by the alphabet."""
    with pytest.raises(UsageError) as caught:
        condition("age>abc")(ROW)
    assert str(caught.value) == "--where age>abc compares '45', age of 'a', with 'abc'; one is no number"
    with pytest.raises(UsageError, match="compares 'male', sex of 'a', with '3'"):
        condition("sex<3")(ROW)
    assert condition("sex>female")(ROW)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("sex=Male", "no row has the sex 'Male'; there are male; did you mean sex=male?"),
        ("label==nev", "no row has the label 'nev'; there are nv; did you mean label=nv?"),
        ("sex=x", "no row has the sex 'x'; there are male"),
        ("age=46", "no row has the age '46'; there are 45"),
    ],
)
def test_a_value_that_no_row_has(text, error):
    """The values that there are are named, and the one that is spelled alike."""
    with pytest.raises(DataError) as caught:
        explain_no_match([ROW], [text])
    assert str(caught.value) == error


def test_other_comparisons_may_have_no_result():
    """Only equality is taken for a typing error, and of many values some are named."""
    explain_no_match([ROW], ["age>100", "sex!=male", "sex=male"])
    with pytest.raises(DataError, match="there are a00, .*, a11 and 8 more"):
        explain_no_match([{"id": f"a{i:02}"} for i in range(20)], ["id=zzz"])


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


def test_true_and_false_are_compared_as_json_or_tables_write_them():
    """A field that is true or false is found by either spelling, and a row without it by !=."""
    rows = [{"id": "a", "refer": True}, {"id": "b", "refer": False}, {"id": "c"}]
    assert [[row["id"] for row in rows if condition(text)(row)] for text in ("refer=true", "refer=True", "refer!=true", "refer=1")] == [
        ["a"], ["a"], ["b", "c"], ["a"],
    ]  # fmt: skip
