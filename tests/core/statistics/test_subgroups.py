"""Subgroups by fields of rows."""

import pytest

from htltools.core.statistics.subgroups import Field, level, metadata_fields, parsed_fields, subgroups, usual_fields
from htltools.errors import DataError, UsageError

ROWS = [
    {"id": "a", "label": "nv", "meta": {"sex": "male", "age": 39.5}},
    {"id": "b", "label": "mel", "meta": {"sex": "female", "age": 40, "label": "own"}},
    {"id": "c", "meta": {"sex": None, "age": 105}},
    {"id": "d", "meta": {"sex": "", "age": "45"}},
    {"id": "e"},
]


def places(field):
    """Subgroups of ROWS with plain lists."""
    return {names[field.name]: chosen.tolist() for names, chosen in subgroups(ROWS, (field,))}


def test_values_are_levels_and_absence_is_unknown():
    """Every row is in exactly one level; rows without a value are in `unknown`, the last one."""
    assert places(Field("sex")) == {"female": [1], "male": [0], "unknown": [2, 3, 4]}
    assert list(places(Field("sex")))[-1] == "unknown"


def test_numbers_fall_into_bands_in_their_order():
    """age:20 makes 20-39, 40-59 and so on, sorted as numbers."""
    assert list(places(Field("age", 20)).items()) == [("20-39", [0]), ("40-59", [1, 3]), ("100-119", [2]), ("unknown", [4])]


def test_meta_comes_before_the_row_itself():
    """A field of the user's table hides a key of the row of the same name."""
    assert places(Field("label")) == {"nv": [0], "own": [1], "unknown": [2, 3, 4]}


@pytest.mark.parametrize(
    ("value", "width", "name"),
    [(0, 20, "0-19"), (-1, 20, "-20--1"), (0.3, 0.1, "0.3-0.4"), (True, 20, "true"), ("90+", 20, "90+"), (3.0, None, "3"), (0, None, "0")],
)
def test_level(value, width, name):
    """Levels are named as one would write them; a value that is no number keeps its own name."""
    assert level(value, width) == name


def test_fields_are_parsed():
    """`sex, age:20` names two fields, one of them in bands; a star crosses them."""
    assert parsed_fields("sex, age:20") == [(Field("sex"),), (Field("age", 20),)]
    assert parsed_fields("sex * age:20") == [(Field("sex"), Field("age", 20))]


def test_crossed_fields():
    """Crossed fields have a subgroup for each combination that there is, and every row is in one of them."""
    levels = subgroups(ROWS, parsed_fields("sex*age:20")[0])
    assert [(tuple(names.values()), chosen.tolist()) for names, chosen in levels] == [
        (("female", "40-59"), [1]),
        (("male", "20-39"), [0]),
        (("unknown", "40-59"), [3]),
        (("unknown", "100-119"), [2]),
        (("unknown", "unknown"), [4]),
    ]
    assert list(levels[0][0]) == ["sex", "age"]


def test_columns_of_metadata():
    """All columns of metadata and the label are fields, but for those of one level and those of too many."""
    rows = [{"id": str(i), "label": "nv", "meta": {"sex": "mf"[i % 2], "number": i}} for i in range(9)]
    assert metadata_fields(rows, 8) == ([Field("sex")], ["number"])
    assert metadata_fields([*rows, {"id": "x"}], 99) == ([Field("sex"), Field("number"), Field("label")], [])


@pytest.mark.parametrize("text", ["", "sex,", "sex*", "*sex", "age:", "age:x", "age:0", "age:-5", "age:nan", "age:inf", ":20"])
def test_invalid_fields_are_refused(text):
    """A field without a name, or a band without a width, is a usage error."""
    with pytest.raises(UsageError, match="--group-by takes names and band widths"):
        parsed_fields(text)


def test_field_that_no_row_has():
    """A misspelt field is refused with the fields that there are, and does not pass for one big group."""
    with pytest.raises(DataError, match="no row has a field 'sexx' to group by; their meta has age, label, sex"):
        subgroups(ROWS, (Field("sexx"),))


def test_lists_make_no_subgroups():
    """A column of lists, such as boxes, has no values that several samples share, and is skipped."""
    rows = [{"id": name, "meta": {"own_box": [0, 0, i, 1] if i else None, "sex": "fm"[i % 2]}} for i, name in enumerate("abcd")]
    assert metadata_fields(rows, 30) == ([Field("sex")], [])
    assert usual_fields(rows) == [Field("sex")]
