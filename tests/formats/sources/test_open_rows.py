"""Rows from a file, a store or stdin."""

import pytest

from htltools.errors import DataError, MissingInput
from htltools.formats.rows.jsonlines import joined_lines
from htltools.formats.sources.open_rows import open_rows, read_rows

BEGIN = b'{"htl":"begin","schema":1,"by":"a"}\n'
END = b'{"htl":"end","by":"a","rows":1}\n'


def test_a_source_that_is_missing_or_empty_is_named(tmp_path):
    """A file that is not there and a file without rows fail with the name of the file."""
    with pytest.raises(MissingInput, match=r"nowhere\.jsonl is not there; name a file of rows, a store, or - for stdin"):
        open_rows(tmp_path / "nowhere.jsonl")
    (tmp_path / "empty.jsonl").write_bytes(BEGIN + b'{"htl":"end","by":"a","rows":0}\n')
    with pytest.raises(DataError, match=r"no rows in .*empty\.jsonl; did the command before fail, or a filter drop them all\?"):
        read_rows(tmp_path / "empty.jsonl")


def test_limit_still_reads_to_the_end(tmp_path):
    """--limit uses the first rows, and still notices that the stream was cut."""
    (tmp_path / "whole.jsonl").write_bytes(BEGIN + joined_lines({"id": str(i)} for i in range(9)) + END)
    assert [row["id"] for row in read_rows(tmp_path / "whole.jsonl", limit=2)[0]] == ["0", "1"]
    (tmp_path / "cut.jsonl").write_bytes(BEGIN + joined_lines([{"id": "x"}]))
    with pytest.raises(DataError, match="was cut"):
        read_rows(tmp_path / "cut.jsonl", limit=1)
