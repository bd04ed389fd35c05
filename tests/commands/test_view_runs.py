"""`htl view` of training logs, a table of runs; and the order and the splits of rows."""

import json
import re

import pytest

from htltools.formats.rows.jsonlines import joined_lines, split_lines

LOGS = {
    "one/m": [(0.003, 1.0, 0.9, 0.5, 2.0), (0.001, 0.5, 0.6, 0.8, 2.5), (0.0, 0.4, 0.7, 0.7, 1.5)],
    "two/m": [(0.01, 2.0, 1.9, 0.6, 4.0)],
}
NAMES = "lr", "loss", "val_loss", "val_iou", "seconds"


@pytest.fixture
def logs(tmp_path):
    """The logs of two trainings, the first of which is done and the second was stopped; and a third of earlier builds."""
    for name, epochs in LOGS.items():
        path = tmp_path / f"{name}.log.jsonl"
        path.parent.mkdir()
        path.write_bytes(joined_lines({"epoch": i} | dict(zip(NAMES, values)) for i, values in enumerate(epochs, 1)))
    (tmp_path / "one/m.h5").touch()
    (tmp_path / "two/m.resume.h5").touch()
    (tmp_path / "old.log.jsonl").write_bytes(joined_lines([{"epoch": 1, "loss": 3.0}]))
    return tmp_path


def test_a_table_of_trainings(htl, logs):
    """Each training is a line: its best epoch with the losses there, its highest rate and whole time; the best comes first."""
    code, out, err = htl("view", logs / "two/m.log.jsonl", logs / "one/m.log.jsonl", logs / "old.log.jsonl")
    assert (code, err) == (0, "")
    assert [line.split("\t") for line in out.decode().splitlines()] == [
        ["run", "state", "epochs", "best_epoch", "val_iou", "val_loss", "loss", "lr", "seconds"],
        ["one/m", "done", "3", "2", "0.8", "0.6", "0.5", "0.003", "6"],
        ["two/m", "stopped", "1", "1", "0.6", "1.9", "2", "0.01", "4"],
        ["old", "stopped", "1", "1", "", "", "3", "", ""],
    ]


def test_forms_and_orders_of_that_table(htl, logs):
    """--sort, --ascending, --limit, --columns and --to hold for trainings as for rows; one log alone is a table too."""
    paths = [logs / "one/m.log.jsonl", logs / "two/m.log.jsonl"]
    assert htl("view", *paths, "--sort", "loss", "--columns", "run,loss", "--to", "csv")[1] == b"run,loss\r\ntwo/m,2\r\none/m,0.5\r\n"
    assert htl("view", *paths, "--sort", "loss", "--ascending", "--limit", 1, "--columns", "run", "--to", "tsv")[1] == b"run\none/m\n"
    rows = split_lines(htl("view", paths[0], "--to", "rows")[1])
    assert rows == [
        {
            "run": "m",
            "state": "done",
            "epochs": 3,
            "best_epoch": 2,
            "val_iou": 0.8,
            "val_loss": 0.6,
            "loss": 0.5,
            "lr": 0.003,
            "seconds": 6.0,
        }
    ]


@pytest.mark.parametrize(
    "args, code, said",
    [
        (["--split", "val"], 2, "--split is for rows, and these are training logs; leave it out"),
        (["--sort", "age"], 2, "--sort 'age': the columns of training logs are run, state, epochs,"),
        (["--to", "coco:x"], 2, "training logs are written --to table, tsv, csv, rows, not 'coco:x'"),
    ],
)
def test_flags_of_rows_are_not_for_trainings(htl, logs, args, code, said):
    """What has no meaning for a training is refused."""
    result, out, err = htl("view", logs / "old.log.jsonl", *args)
    assert (result, out, said in err) == (code, b"", True), err


def test_a_damaged_log(htl, logs):
    """A line that is no record of an epoch is an error with its number."""
    path = logs / "old.log.jsonl"
    path.write_bytes(path.read_bytes() + b'{"epoch":2}\n')
    code, out, err = htl("view", path)
    assert (code, out) == (65, b"")
    assert err == f"htl view: {path}, line 2 is no record of an epoch; it is written by htl train\n"


def test_a_log_of_a_real_training(htl, dense):
    """The log that train writes is read, with every column."""
    (line,) = split_lines(htl("view", dense.with_name("dense.log.jsonl"), "--to", "rows")[1])
    assert line["run"] == "dense" and line["state"] == "done" and line["epochs"] == 2
    assert min(line[name] for name in ("val_iou", "val_loss", "loss", "lr", "seconds")) > 0


ROWS = [
    {"id": "a", "split": "train", "meta": {"age": 70}},
    {"id": "b", "split": "test", "meta": {"age": 30}},
    {"id": "c", "split": "test"},
    {"id": "d", "split": "val", "meta": {"age": 45}},
    {"id": "e", "meta": {"age": "old"}},
]


@pytest.mark.parametrize(
    "args, ids",
    [
        (["--sort", "age", "--ascending"], "ebdac"),
        (["--sort", "age"], "adbec"),
        (["--sort", "age", "--ascending", "--limit", 2], "eb"),
        (["--split", "all"], "abcde"),
        (["--split", "validation"], "d"),
        (["--split", "Training"], "a"),
    ],
)
def test_lowest_first_and_splits_by_other_words(htl, args, ids):
    """--ascending turns the order round, but rows without the field stay last; splits have the names of other tools, and all."""
    code, out, err = htl("view", *args, stdin=joined_lines(ROWS))
    assert (code, "".join(line["id"] for line in split_lines(out) if "id" in line)) == (0, ids), err


def test_ascending_needs_a_field(htl):
    """--ascending alone orders nothing, which is an error; a split that is none names those there are."""
    assert htl("view", "--ascending", stdin=joined_lines(ROWS)) == (
        2,
        b"",
        "htl view: --ascending is the order of --sort; name a field with it\n",
    )
    assert htl("view", "--split", "nix", stdin=joined_lines(ROWS))[2] == "htl view: --split takes train, val, test, all, not 'nix'\n"
    assert "--split takes train, val, test, not 'all'" in htl("report", "--split", "all", "-o", "x.html", stdin=b"{}")[2]


def test_words_come_before_numbers_where_a_table_is_cut(tmp_path, on_terminal):
    """On a narrow terminal the columns of words are kept and those of numbers left out; on a wide one all stand in their order."""
    meta = {"age": 70, "width": 1234.5, "site": "lower extremity", "sex": "female"}
    (tmp_path / "rows.jsonl").write_text(json.dumps({"id": "a", "split": "train", "meta": meta, "weight": 1.5}) + "\n")
    narrow, wide, chosen = (
        re.sub("\x1b\\[[0-9;]*m", "", on_terminal(f"htl view rows.jsonl --to table{flags}", tmp_path, width))
        for flags, width in (("", 40), ("", 120), (" --columns id,age,width,site,sex", 30))
    )
    assert [line.split() for line in narrow.splitlines() if "split " in line] == [["id", "split", "site", "sex"]]
    assert "columns left out: weight, meta.age, meta.width; choose with --columns" in narrow
    assert [line.split() for line in wide.splitlines() if "split " in line] == [["id", "split", "weight", "age", "width", "site", "sex"]]
    assert "columns left out: site, sex" in chosen
