"""Lists of ids: in every form that people and other tools write."""

import pytest

from htltools.errors import DataError, MissingInput
from htltools.formats.rows.id_lists import read_ids


@pytest.mark.parametrize(
    "text, ids",
    [
        ("a\nb/c.png\n", ["a", "b/c.png"]),
        ("\ufeffa\r\n\r\n  b, c \r\na\r\n", ["a", "b, c"]),
        ('{"htl":"begin","by":"x"}\n{"id":"a","meta":{"twin":"z"}}\n{"id":"b"}\n{"htl":"end","by":"x","rows":2}\n', ["a", "b"]),
        ('id,mark\r\na,wrong\r\n"b,c",keep\r\n', ["a", "b,c"]),
        ("split;image_id\ntrain;a\n", ["a"]),
        ("id\tpruned_loss\na\t0.5\n", ["a"]),
        ("id\nNA\n", ["NA"]),
        ("", []),
    ],
)
def test_forms(tmp_path, text, ids):
    """One a line, rows with their notes, and tables with a column of ids are read alike; an id is never taken from another field."""
    (tmp_path / "list").write_text(text, encoding="utf-8", newline="")
    assert list(read_ids(tmp_path / "list").marks) == ids


def test_one_mark(tmp_path):
    """FILE:MARK gives the ids of one mark; a file of that whole name comes first."""
    (tmp_path / "m.csv").write_text("id,mark\na,wrong\nb,keep\nc,wrong\nd,\n")
    assert list(read_ids(tmp_path / "m.csv:wrong").marks) == ["a", "c"]
    assert read_ids(tmp_path / "m.csv").different_marks == ["keep", "wrong"]
    (tmp_path / "m.csv:wrong").write_text("z\n")
    assert list(read_ids(tmp_path / "m.csv:wrong").marks) == ["z"]
    with pytest.raises(DataError, match="has the mark 'worng'; there are keep, wrong"):
        read_ids(tmp_path / "m.csv:worng")


@pytest.mark.parametrize(
    "data, said",
    [
        (b'{"id":"a"}\n{"name":"b"}\n', "line 2 has no id"),
        (b'{"id":"a"}\n{"id":', "line 2 is no JSON"),
        (b"\x89PNG\r\n", "no text in UTF-8"),
    ],
)
def test_bad_files(tmp_path, data, said):
    """What is no list is refused with the line that shows it."""
    (tmp_path / "list").write_bytes(data)
    with pytest.raises(DataError, match=said):
        read_ids(tmp_path / "list")


def test_missing(tmp_path):
    """A file that is not there, also with a mark, and a folder are told apart."""
    for name in ("none", "none:wrong"):
        with pytest.raises(MissingInput, match="are not there"):
            read_ids(tmp_path / name)
    with pytest.raises(DataError, match="are a folder"):
        read_ids(tmp_path)
