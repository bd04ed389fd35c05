"""--ids and --not-ids, which mean the same in every command that has them."""

import pytest

from htltools.formats.rows.jsonlines import joined_lines, split_lines

ROWS = [{"id": name, "split": "train", "meta": {"twin": "c"}, "hardness": {"loss": number}} for number, name in enumerate("abc")]


def written(out):
    """The ids of rows."""
    return [line["id"] for line in split_lines(out) if "id" in line]


def test_view(htl, tmp_path):
    """Only rows whose own id is listed pass, or all others; the order is that of the rows, and --limit counts what is left."""
    (tmp_path / "ids").write_text("c\nb\n")
    rows = joined_lines(ROWS)
    assert written(htl("view", "--ids", tmp_path / "ids", stdin=rows)[1]) == ["b", "c"]
    assert written(htl("view", "--not-ids", tmp_path / "ids", stdin=rows)[1]) == ["a"]
    assert written(htl("view", "--ids", tmp_path / "ids", "--limit", 1, "--sort", "loss", stdin=rows)[1]) == ["c"]
    (tmp_path / "not").write_text("c\n")
    code, out, err = htl("view", "--ids", tmp_path / "ids", "--not-ids", tmp_path / "not", stdin=rows)
    assert (code, written(out)) == (0, ["b"])
    assert err == "htl view: 1 of 3 rows by their ids\n"
    record = split_lines(out)[0]["history"][-1]
    assert set(record["inputs"]) == {str(tmp_path / "ids"), str(tmp_path / "not")}


def test_ids_that_no_row_has(htl, tmp_path):
    """They are named; where --ids finds none at all, or --not-ids leaves none to train on, the command fails."""
    (tmp_path / "ids").write_text("\n".join(["a", "x1", "x2", "x3", "x4"]))
    _, out, err = htl("view", "--ids", tmp_path / "ids", stdin=joined_lines(ROWS))
    assert written(out) == ["a"]
    assert err.splitlines()[0] == f"htl view: 4 of the 5 ids of {tmp_path}/ids are in no row: x1, x2, x3 and 1 more"
    (tmp_path / "ids").write_text("x1")
    code, out, err = htl("view", "--ids", tmp_path / "ids", "--no-notes", stdin=joined_lines(ROWS))
    assert code == 65 and f"no row has an id of {tmp_path}/ids; 3 rows were read" in err
    (tmp_path / "ids").write_text("a\nb\nc\n")
    code, _, err = htl("resample", "--not-ids", tmp_path / "ids", stdin=joined_lines(ROWS))
    assert code == 65 and "--not-ids leaves no row; it names all 3 of them" in err
    (tmp_path / "ids").write_text("")
    assert htl("view", "--ids", tmp_path / "ids", stdin=joined_lines(ROWS))[::2] == (65, f"htl view: {tmp_path}/ids names no id; "
        "name one a line, rows, or a table with a column id\n")  # fmt: skip


def test_marks_of_a_gallery(htl, tmp_path):
    """Of a list with several marks all ids count, which is said, and FILE:MARK takes those of one."""
    (tmp_path / "marks.csv").write_text("id,mark\r\na,wrong\r\nb,keep\r\n")
    _, out, err = htl("view", "--not-ids", tmp_path / "marks.csv", stdin=joined_lines(ROWS))
    assert written(out) == ["c"] and "takes all ids" in err and "marks.csv:keep takes some" in err
    _, out, err = htl("view", "--not-ids", f"{tmp_path}/marks.csv:wrong", stdin=joined_lines(ROWS))
    assert written(out) == ["b", "c"] and "takes all ids" not in err


def test_rows_of_another_command_are_a_list(htl, scored, tmp_path):
    """What view chose is what resample leaves out, rows of a file being a list of ids; a pipe is a list too."""
    chosen = htl("view", scored, "--split", "train", "--sort", "suspect", "--limit", 5)[1]
    (tmp_path / "suspects.jsonl").write_bytes(chosen)
    code, out, err = htl("resample", scored, "--not-ids", tmp_path / "suspects.jsonl")
    assert code == 0, err
    everything = [line["id"] for line in split_lines(scored.read_bytes()) if "id" in line]
    assert written(out) == [name for name in everything if name not in written(chosen)]


def test_train_score_and_evaluate(htl, scored, dense, tmp_path):
    """A model is trained, rows are scored and measured, without the rows that are left out."""
    rows = [line for line in split_lines(scored.read_bytes()) if "id" in line]
    lost = [row["id"] for row in rows if row["split"] == "train"][:7]
    (tmp_path / "wrong.txt").write_text("\n".join(lost))
    flags = "--not-ids", tmp_path / "wrong.txt"
    code, out, err = htl("train", scored, *flags, "-o", tmp_path / "m.h5", "--arch", "compact", "--attend", "none", "--epochs", 1)
    assert code == 0, err
    assert written(out) == [row["id"] for row in rows if row["id"] not in lost]
    assert str(tmp_path / "wrong.txt") in split_lines(out)[0]["history"][-1]["inputs"]
    assert written(htl("score", scored, "--model", dense, *flags)[1]) == written(out)
    held_out = [row["id"] for row in rows if row["split"] == "test"]
    (tmp_path / "some.txt").write_text("\n".join(held_out[:4]))
    metrics = split_lines(htl("evaluate", scored, "--model", dense, "--ids", tmp_path / "some.txt")[1])
    assert {line["n"] for line in metrics} == {4}


@pytest.mark.parametrize("flag, ours", [("--exclude", "--not-ids"), ("--include", "--ids")])
def test_names_of_others(htl, flag, ours):
    """Who knows the flag by another name is told ours."""
    assert ours in htl("view", flag, "x", stdin=b"")[2]
