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
    """All columns of metadata and the label are fields, but for those of one level, and texts of too many, which are named."""
    rows = [{"id": str(i), "label": "nv", "meta": {"sex": "mf"[i % 2], "name": f"p{i}"}} for i in range(17)]
    assert metadata_fields(rows) == ([Field("sex")], {"name": "has more than 16 levels"})
    rows = [row | {"label": ["nv", "mel"][i % 2]} for i, row in enumerate(rows[:16])]
    assert metadata_fields(rows) == ([Field("label"), Field("sex"), Field("name")], {})


def test_ages_are_in_bands():
    """Numbers, also as text, of more than seven values are in bands of a round width, those of fewer are levels of their own."""
    rows = [{"id": str(i), "meta": {"age": 20 + i, "text": f"{i / 100}", "skin": i % 6 + 1}} for i in range(60)]
    assert usual_fields(rows) == [Field("age", 20), Field("text", 0.2), Field("skin")]


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["license", "licence_text", "doi", "sourceURL", "StudyInstanceUID", "lesion_id", "sex"], ["sex"]),
        (["native_w", "native_h", "image_size", "OriginalImageWidth", "size"], ["size"]),
        (["width", "height", "Rows", "Columns"], []),
        (["height", "weight", "lesion_width", "idle", "tumour_size"], ["height", "weight", "lesion_width", "idle", "tumour_size"]),
    ],
)
def test_what_describes_the_file_makes_no_subgroups(names, kept):
    """Ids, licences, addresses and the size of the image are no subgroups by default; what may describe the patient or lesion is."""
    rows = [{"id": str(i), "meta": dict.fromkeys(names, "ab"[i % 2])} for i in range(4)]
    fields, left_out = metadata_fields(rows)
    assert [field.name for field in fields] == kept
    assert left_out == dict.fromkeys([name for name in names if name not in kept], "describes the file")


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
    assert metadata_fields(rows) == ([Field("sex")], {})
    assert usual_fields(rows) == [Field("sex")]
