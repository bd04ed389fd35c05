"""Rows with typed accessors."""

import pytest

from htltools.errors import DataError
from htltools.formats.rows.row import Row


def test_absent_fields_have_defaults():
    """A bare row is a sample of its own group, not annotated, that stands once and weighs 1."""
    row = Row(id="a")
    assert (row.id, row.group, row.split, row.boxes, row.labels, row.label, row.size) == ("a", "a", None, None, None, None, None)
    assert (row.meta, row.hardness, row.predicted, row.detected) == ({}, {}, {}, {})
    assert (row.weight, row.repeat, row.is_pseudo, row.is_annotated, row.is_known) == (1.0, 0, False, False, False)
    assert Row(id="a", boxes=[]).is_known and not Row(id="a", boxes=[]).is_annotated


def test_a_changed_row_is_another_row():
    """A change leaves the row as it was, keeps the order of its keys, and gives a row."""
    row = Row(id="a", mine=1)
    for changed in (row.changed(weight=2.0), row | {"weight": 2.0}):
        assert (type(changed), list(changed), changed.weight) == (Row, ["id", "mine", "weight"], 2.0)
    assert row == {"id": "a", "mine": 1}


def test_a_row_without_a_stored_image_is_named_by_its_id():
    """Reading the image of a row without one is refused with the id of the row and the remedy."""
    assert Row(id="a", store="s.h5", index=3).stored_at == ("s.h5", 3)
    with pytest.raises(DataError, match=r"the row 'a' names no stored image \(store and index\); make rows with htl prepare"):
        _ = Row(id="a", store="s.h5").stored_at
