"""The stream of rows and notes."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htltools.errors import DataError
from htltools.formats.rows.jsonlines import compact_json, joined_lines, split_lines
from htltools.formats.rows.provenance import Run
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import SPLITS
from htltools.formats.rows.stream import RowReader, RowWriter, check_groups

BEGIN = b'{"htl":"begin","schema":1,"by":"a"}\n'
END = b'{"htl":"end","by":"a","rows":1}\n'
ROW = b'{"id":"x"}\n'


def reading(data: bytes, **how):
    """The rows of some bytes, and the reader."""
    reader = RowReader(io.BytesIO(data), **how)
    return list(reader), reader


def refusal(data: bytes, **how) -> str:
    """The error of the reader over bytes that it refuses."""
    with pytest.raises(DataError) as caught:
        reading(data, **how)
    return str(caught.value)


def written(rows, history=(), models=None, **how) -> bytes:
    """The stream that a writer writes of rows."""
    out = io.BytesIO()
    with RowWriter(Run("view", {}), list(history), out=out, **how) as writer:
        writer.models(models or {})
        writer.write(rows)
    return out.getvalue()


words = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def samples(draw):
    """Valid rows, with unknown keys and metadata of any kind."""
    width, height = draw(st.integers(2, 900)), draw(st.integers(2, 900))
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    x1, y1 = draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
    known = {
        "split": st.sampled_from(SPLITS),
        "group": words,
        "label": words,
        "weight": st.floats(0, 10),
        "boxes": st.sampled_from([[], [[x0, y0, x1, y1]]]),
        "meta": st.dictionaries(words, values, max_size=3),
        "hardness": st.dictionaries(words, st.none() | st.floats(-1, 1), max_size=2),
    }
    row = {"id": draw(words), "size": [width, height]} | draw(st.fixed_dictionaries({}, optional=known))
    unknown = draw(st.dictionaries(st.text("abcz_", min_size=1, max_size=6), values, max_size=2))
    return {key: value for key, value in unknown.items() if key not in (*known, "id", "size", "htl", "store", "index")} | row


@settings(deadline=None, max_examples=60)
@given(st.lists(samples(), unique_by=lambda row: row["id"], max_size=6), st.randoms())
def test_any_subset_in_any_order_is_valid_and_passes_unchanged(rows, random):
    """Whatever rows a filter leaves, in whatever order, with or without the notes: they are read as they are and written as they were."""
    chosen = random.sample(rows, random.randint(0, len(rows)))
    assert reading(joined_lines(chosen))[0] == chosen
    lines = written(chosen).splitlines(keepends=True)
    assert lines[1:-1] == [compact_json(row) + b"\n" for row in chosen]
    assert reading(b"".join(lines))[0] == chosen
    random.shuffle(lines)
    assert sorted(joined_lines([row]) for row in reading(b"".join(lines), partial=True)[0]) == sorted(lines_of(chosen))


def lines_of(rows):
    """Each row as a line."""
    return [joined_lines([row]) for row in rows]


def test_writer_brackets_what_it_wrote():
    """A stream opens with begin, closes with end, and both name the run; end counts rows and skipped samples."""
    begin, row, end = split_lines(written([{"id": "x"}], [{"run": "before"}], skipped=3))
    assert begin == {"htl": "begin", "schema": 1, "by": end["by"], "history": [{"run": "before"}]}
    assert row == {"id": "x"}
    assert (end["htl"], end["rows"], end["skipped"]) == ("end", 1, 3)


def test_no_end_note_after_a_failure():
    """A command that fails half-way never closes its stream, so the next one knows."""
    out = io.BytesIO()
    with pytest.raises(RuntimeError), RowWriter(Run("view", {}), [], out=out) as writer:
        writer.write([{"id": "x"}])
        raise RuntimeError
    assert b'"end"' not in out.getvalue()
    assert refusal(out.getvalue()).startswith("stdin was cut: 1 begin notes, 0 end notes")


def test_cut_stream_is_refused_unless_partial():
    """A stream that begins and does not end is refused with a remedy; --partial takes what there is."""
    assert (
        refusal(BEGIN + ROW)
        == "stdin was cut: 1 begin notes, 0 end notes; look at the command before, or accept what there is with --partial"
    )
    assert reading(BEGIN + ROW, partial=True)[0] == [{"id": "x"}]


def test_rows_without_notes_are_complete():
    """Rows that passed a filter which dropped the notes are valid input."""
    assert reading(ROW)[0] == [{"id": "x"}]
    assert reading(ROW + END)[0] == [{"id": "x"}]


def test_half_a_line_is_refused_unless_partial():
    """A line that stops in the middle is named by its number; --partial takes the lines before it."""
    assert refusal(ROW + b'{"id":"y') == "stdin ends in half a line (line 2); accept the lines before it with --partial"
    assert reading(ROW + b'{"id":"y', partial=True)[0] == [{"id": "x"}]


def test_last_line_needs_no_newline():
    """A file whose last line lacks its newline is whole where the line is."""
    assert reading(b'{"id":"x"}')[0] == [{"id": "x"}]


@pytest.mark.parametrize("partial", [False, True])
def test_garbage_in_the_middle_is_always_refused(partial):
    """--partial forgives an end that is missing, never a broken line in the middle."""
    assert refusal(b"garbage\n" + ROW, partial=partial).startswith("stdin, line 1 is no JSON")
    assert refusal(b"[1]\n", partial=partial) == "stdin, line 1 is no row: it should be a JSON object"


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_nan_and_infinity_are_refused(number):
    """Numbers that JSON does not have are refused on the way in, wherever they stand."""
    assert "is no JSON" in refusal(b'{"id":"x","meta":{"age":' + number + b"}}\n")


@pytest.mark.parametrize("field", ['"weight":1e999', '"hardness":{"pruned_disagreement":1e999}', '"size":[9,9],"boxes":[[0,0,1e999,2]]'])
def test_numbers_too_large_for_a_float_are_refused(field):
    """A number that overflows to infinity cannot reach the arithmetic."""
    assert "finite" in refusal(f'{{"id":"x",{field}}}\n'.encode())


def test_nan_is_never_written():
    """No command can write NaN or Infinity."""
    for value in (float("nan"), float("inf")):
        with pytest.raises(DataError, match="a value cannot be written as JSON"):
            compact_json({"id": "x", "meta": {"age": value}})


def test_unknown_keys_are_kept_and_unknown_notes_passed_over():
    """Keys that htl does not know stay in the row, and notes of a kind it does not know are ignored."""
    row = {"id": "x", "mine": {"a": [1, None]}, "meta": {"é": "\u2028"}}
    rows, reader = reading(b'{"htl":"comment","text":"hello"}\n{"htl":7}\n' + joined_lines([row]))
    assert rows == [row]
    assert reader.models == {}


def test_null_means_absent():
    """A known key that is null counts as absent, as jq writes it; metadata keep their nulls."""
    rows, _ = reading(b'{"id":"x","weight":null,"hardness":null,"boxes":null,"meta":{"age":null},"mine":null}\n')
    assert rows == [{"id": "x", "meta": {"age": None}, "mine": None}]


def test_duplicate_ids_are_refused_and_repeats_are_not():
    """An id stands once, unless `repeat` tells the copies apart."""
    assert refusal(ROW + ROW) == "stdin, line 2: the id 'x' stands twice; every row needs an id of its own"
    assert len(reading(ROW + b'{"id":"x","repeat":1}\n')[0]) == 2
    assert "stands twice" in refusal(ROW + b'{"id":"x","repeat":0}\n')


def test_newer_schema_is_refused():
    """A stream of a later version of the format is refused, with the remedy."""
    assert refusal(b'{"htl":"begin","schema":2,"by":"a"}\n') == "stdin was written by a newer htl (schema 2, known: 1); upgrade htl"


@pytest.mark.parametrize(
    "line, reason",
    [
        ('{"split":"train"}', "id: field required"),
        ('{"id":7}', "id: input should be a valid string"),
        ('{"id":"x","split":"dev"}', "split: input should be 'train', 'val' or 'test'"),
        ('{"id":"x","index":-1}', "index: input should be greater than or equal to 0"),
        ('{"id":"x","weight":-1}', "weight: input should be greater than or equal to 0"),
        ('{"id":"x","size":[9,9],"boxes":[[0,0,1]]}', "boxes.0: list should have at least 4 items"),
        ('{"id":"x","boxes":[[0,0,1,1]]}', "(x): boxes without size"),
        ('{"id":"x","size":[9,9],"boxes":[[5,0,5,1]]}', "(x): the box [5, 0, 5, 1] is empty"),
        ('{"id":"x","size":[9,9],"boxes":[[9,0,12,1]]}', "(x): the box [9, 0, 12, 1] lies outside its image of 9x9"),
        ('{"htl":"model","role":"sparse","path":"p"}', "role: input should be 'dense' or 'pruned'"),
    ],
)
def test_rows_that_break_the_schema_are_named_by_line_and_field(line, reason):
    """A bad row is refused with its line and what is wrong with it."""
    text = refusal(ROW.replace(b"x", b"first") + line.encode() + b"\n")
    assert text.startswith("stdin, line 2")
    assert reason in text


def test_last_model_of_a_role_counts():
    """Model notes may stand anywhere, and the last one of a role is the one that is used."""
    notes = [{"htl": "model", "role": role, "path": path} for role, path in [("dense", "a"), ("pruned", "p"), ("dense", "b")]]
    _, reader = reading(joined_lines(notes[:2]) + ROW + joined_lines(notes[2:]))
    assert reader.models == {"dense": "b", "pruned": "p"}


def test_model_notes_carry_a_digest(tmp_path):
    """A model is handed on with its path and the sha256 of its bytes."""
    (tmp_path / "m.h5").write_bytes(b"abc")
    note = split_lines(written([], models={"dense": str(tmp_path / "m.h5")}))[1]
    assert note["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_cat_of_two_streams_merges_histories_and_skips():
    """`cat` of two streams is a stream: shared history stands once, counts of skipped samples are added up."""
    first = written([{"id": "a"}], [{"run": "shared"}, {"run": "one"}], skipped=1)
    second = written([{"id": "b"}], [{"run": "shared"}, {"run": "two"}], skipped=2)
    rows, reader = reading(first + second)
    assert [row["id"] for row in rows] == ["a", "b"]
    assert reader.history == [{"run": "shared"}, {"run": "one"}, {"run": "two"}]
    assert reader.skipped == 3
    assert refusal(first + second.rsplit(b"\n", 2)[0] + b"\n").startswith("stdin was cut: 2 begin notes, 1 end notes")


def test_a_later_note_with_more_history_gives_the_order():
    """A command that learns of more history while it writes repeats all of it at the end, and the reader takes that as it stands."""
    first, rest = {"run": "prepare"}, {"run": "other"}
    _, reader = reading(written([{"id": "a"}], [first, {"run": "score"}]) + written([], [first, rest, {"run": "score"}]))
    assert reader.history == [first, rest, {"run": "score"}]


def test_what_the_quick_parser_refuses_is_read_all_the_same():
    """A byte order mark and deep nesting are valid JSON to Python, so they are to the reader; half a surrogate pair is no text."""
    deep = b"[" * 300 + b"]" * 300
    rows, _ = reading(b'\xef\xbb\xbf{"id":"x"}\n{"id":"y","deep":' + deep + b"}\n")
    assert [row["id"] for row in rows] == ["x", "y"]
    with pytest.raises(DataError, match="line 1 is no JSON .*surrogates not allowed"):
        reading(b'{"id":"z","text":"\\ud800"}\n')


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_every_bit(value):
    """A number is read as the float that was written."""
    assert reading(joined_lines([{"id": "x", "value": value}]))[0][0]["value"] == value


def test_a_group_in_two_splits_is_refused():
    """A lesion or patient that is both trained on and tested on is refused by name; without a group, the id is the group."""
    check_groups([Row(id="a", group="g", split="train"), Row(id="b", group="g", split="train"), Row(id="c", group="g")])
    with pytest.raises(DataError, match="the group 'g' stands in two splits, train and test; keep every group on one side"):
        check_groups([Row(id="a", group="g", split="train"), Row(id="b", group="g", split="test")])
