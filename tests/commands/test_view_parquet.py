"""Rows as Parquet: written by `view --to parquet:FILE`, and read by every command in the place of JSON Lines."""

import json

import pytest

from htltools.commands.view import parquet as of_view
from htltools.formats.rows.jsonlines import joined_lines, split_lines
from htltools.formats.rows.stream import RowReader
from tests.commands.test_many_rows import CALLS, synthetic_rows

ODD = [
    {"id": "a", "meta": {"Age": 1, "age": 2}, "hardness": {"loss": 1}, "own": {"deep": {"none": None, "list": [None, {}]}}},
    {"id": "b'\"", "meta": {}, "boxes": [], "size": [4, 4], "own": 2**70, "weight": 2, "words": "1e5"},
    {"id": "c", "boxes": [[0, 0, 2.5, 2]], "size": [4, 4], "labels": ["x"], "own": "text", "date": "2020-01-01", "pseudo": True},
    {"id": "c", "repeat": 1, "detected": {"dense": {"boxes": [[0.0, 0.0, 1.0, 1.0]], "labels": ["x"], "scores": [0.5]}}, "mixed": 1},
    {"id": "\u00e9\u2028", "mixed": 1.5, "meta": {"x": "y"}, "index": 3, "store": "s.h5", "flag": False, "words": "no\ttab"},
]


@pytest.fixture
def pair(htl, tmp_path):
    """`pair(rows)` writes rows as JSON Lines and, by htl, as Parquet, and gives both files."""

    def write(rows):
        lines, parquet = tmp_path / "rows.jsonl", tmp_path / "it's [rows]*.parquet"
        lines.write_bytes(joined_lines(rows))
        code, out, err = htl("view", lines, "--to", f"parquet:{parquet}", "--force")
        assert (code, out, err) == (0, b"", f"htl view: {parquet}: {len(rows)} rows\n")
        return lines, parquet

    return write


def rows_of(out: bytes) -> list[dict]:
    """The rows of a stream, without metadata that is null, which Parquet does not tell from what is absent."""
    rows = [line for line in split_lines(out) if "htl" not in line]
    return [row | {"meta": {key: own for key, own in row["meta"].items() if own is not None}} if "meta" in row else row for row in rows]


def test_rows_come_back(htl, pair):
    """Whatever a row holds comes back from Parquet as it was, in its order: unknown keys, values of several types, empty lists, copies."""
    lines, parquet = pair(ODD)
    assert rows_of(htl("view", parquet, "--to", "rows")[1]) == rows_of(htl("view", lines, "--to", "rows")[1])


def test_columns_are_typed(pair):
    """Other programs find columns of numbers and texts, and structs for meta and hardness."""
    import duckdb

    _, parquet = pair(synthetic_rows(50))
    parquet.rename(plain := parquet.with_name("plain.parquet"))
    types = dict(own[:2] for own in duckdb.execute(f"DESCRIBE SELECT * FROM '{plain}'").fetchall())
    assert types["meta"] == "STRUCT(age BIGINT, sex VARCHAR, site VARCHAR)" and types["boxes"] == "DOUBLE[][]"
    assert types["hardness"] == "STRUCT(loss DOUBLE, pruned_loss DOUBLE)" and types["id"] == "VARCHAR"
    mean = duckdb.execute(f"SELECT avg(hardness.loss) FROM '{plain}' WHERE meta.age >= 60").fetchone()[0]
    chosen = [row["hardness"]["loss"] for row in synthetic_rows(50) if row["meta"]["age"] >= 60]
    assert mean == pytest.approx(sum(chosen) / len(chosen))


def test_notes_are_kept(htl, pair, scored, tmp_path):
    """History, models and what was skipped are in the file, and later commands find the models by it."""
    target = tmp_path / "scored.parquet"
    assert htl("view", scored, "--to", f"parquet:{target}")[0] == 0
    notes = [line for line in split_lines(htl("view", target, "--to", "rows")[1]) if "htl" in line]
    before = [line for line in split_lines(scored.read_bytes()) if "htl" in line]
    assert [note for note in notes if note["htl"] == "model"] == [note for note in before if note["htl"] == "model"]
    assert notes[0]["history"][: len(before[0]["history"])] == before[0]["history"]
    assert htl("evaluate", target, "--split", "val", "--seed", 1)[1] == htl("evaluate", scored, "--split", "val", "--seed", 1)[1]
    of_parquet, of_lines = (htl("predict", file, "--doubt", "none")[1] for file in (target, scored))
    assert [row["predicted"] for row in rows_of(of_parquet)] == [row["predicted"] for row in rows_of(of_lines)] != []


@pytest.mark.parametrize("call", [*(call for call in CALLS if call.startswith(("view", "resample"))), "view --where age!=44 --sort id"])
def test_parquet_gives_what_lines_give(htl, pair, call):
    """A command gives the same rows, and says the same, of Parquet as of JSON Lines."""
    lines, parquet = pair(synthetic_rows(120))
    command, *flags = call.split()
    if "tsv" in flags or "csv" in flags or "--summary" in flags:
        expected, found = (htl(command, file, *flags) for file in (lines, parquet))
        assert found == (expected[0], expected[1], expected[2])
        return
    expected, found = (htl(command, file, "--no-history", *flags) for file in (lines, parquet))
    assert (found[0], found[2].replace(str(parquet), str(lines)), rows_of(found[1])) == (expected[0], expected[2], rows_of(expected[1]))


@pytest.mark.parametrize(
    "call, pushed",
    [
        ("--sort pruned_l --limit 5", True),
        ("--where age>=40 --where sex=female --split train", True),
        ("--sort sex --limit 9 --where site!=p1", True),
        ("--sort note", False),
        ("--where note!=x", False),
        ("--where sex=nobody", False),
        ("--where sex<x", False),
        ("--sort nothing", False),
    ],
)
def test_the_engine_chooses_where_it_can(pair, call, pushed, capsys):
    """Plain comparisons and orders are left to the engine, which reads only what it needs; others look at every row."""
    from htltools.commands.view.selection import Query

    _, parquet = pair(synthetic_rows(120))
    flags = dict(zip(call.split()[::2], call.split()[1::2]))
    where = [word for flag, word in zip(call.split()[::2], call.split()[1::2]) if flag == "--where"]
    query = Query(flags.get("--split"), where, flags.get("--sort"), None)
    assert bool(of_view.selected_in_parquet(parquet, query, None)) == pushed


def test_foreign_and_damaged_files(htl, tmp_path):
    """A Parquet file of another program is read by its columns; one without ids, or cut, is refused in one line."""
    import duckdb

    made = tmp_path / "made.parquet"
    duckdb.execute(f"COPY (SELECT 'p' || range AS id, {{age: range}} AS meta, [10, 10] AS size, NULL AS boxes FROM range(3)) TO '{made}'")
    code, out, _ = htl("view", made, "--to", "rows")
    assert (code, rows_of(out)) == (0, [{"id": f"p{i}", "size": [10, 10], "meta": {"age": i}} for i in range(3)])
    duckdb.execute(f"COPY (SELECT range AS name FROM range(3)) TO '{made}'")
    assert htl("view", made)[::2] == (65, f"htl view: {made} has no column id; rows need a name each; see htl-stream(5)\n")
    duckdb.execute(f"COPY (SELECT 'a' AS id FROM range(3)) TO '{made}'")
    assert "the id 'a' stands twice" in htl("view", made, "--to", "rows")[2]
    made.write_bytes(made.read_bytes()[:-9])
    code, _, err = htl("view", made)
    assert code == 65 and err.count("\n") == 1 and "cannot be read as Parquet" in err


def test_parquet_is_no_stream(htl, pair):
    """Parquet on stdin is refused with the remedy."""
    _, parquet = pair(ODD)
    code, out, err = htl("view", "-", stdin=parquet.read_bytes())
    assert (code, out) == (65, b"") and "it is Parquet, which is no stream: name the file" in err


def test_names_that_differ_in_case(htl, tmp_path):
    """Fields that differ in case alone cannot be columns, which is said; in meta they are kept."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"id": "a", "Mine": 1}) + "\n" + json.dumps({"id": "b", "mine": 1}) + "\n")
    code, _, err = htl("view", rows, "--to", f"parquet:{tmp_path / 'p'}")
    assert code == 65 and "'Mine' and 'mine' differ in case alone" in err and not (tmp_path / "p").exists()


def test_an_existing_file_is_kept(htl, pair, tmp_path):
    """A file that exists is not replaced without --force."""
    lines, parquet = pair(ODD)
    assert htl("view", lines, "--to", f"parquet:{parquet}")[0] == 73
    assert len(list(RowReader(joined_lines(rows_of(htl("view", parquet, "--to", "rows")[1])).splitlines(keepends=True)))) == len(ODD)
