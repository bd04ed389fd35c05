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


@pytest.mark.parametrize(
    "start, what",
    [
        (b"\x89PNG\r\n\x1a\n", "a PNG image, and rows are expected; htl prepare and htl predict take images"),
        (b"\xff\xd8\xff\xe0", "a JPEG image"),
        (b"RIFF....WEBP", "a WebP image"),
        (bytes(128) + b"DICM", "a DICOM image"),
        (b"\x08\x09\x12\x00", "an ONNX file, and rows are expected; htl view tells what is in it"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file that htl did not write"),
    ],
)
def test_a_file_that_is_no_rows_is_named_as_what_it_is(tmp_path, start, what):
    """An image, a model or another binary file in the place of rows is refused by what it is, with what takes it."""
    (tmp_path / "file").write_bytes(start)
    with pytest.raises(DataError, match=f"file is {what}"):
        open_rows(tmp_path / "file")


def test_limit_still_reads_to_the_end(tmp_path):
    """--limit uses the first rows, and still notices that the stream was cut."""
    (tmp_path / "whole.jsonl").write_bytes(BEGIN + joined_lines({"id": str(i)} for i in range(9)) + END)
    assert [row["id"] for row in read_rows(tmp_path / "whole.jsonl", limit=2)[0]] == ["0", "1"]
    (tmp_path / "cut.jsonl").write_bytes(BEGIN + joined_lines([{"id": "x"}]))
    with pytest.raises(DataError, match="was cut"):
        read_rows(tmp_path / "cut.jsonl", limit=1)
