"""Rows beyond those that are kept in memory: every command that spools them gives the same, byte for byte, and holds few of them."""

import random

import numpy as np
import pytest

from htltools.commands.export.card import described_data
from htltools.commands.export.write import calibration_images, validation_rows
from htltools.core.runtime.runtime import Runtime
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows import spooled
from htltools.formats.rows.jsonlines import joined_lines, split_lines
from htltools.formats.rows.row import Row
from htltools.tasks.predictor import CheckpointPredictor
from tests.conftest import PLAIN

CALLS = [
    "view --sort pruned_loss",
    "view --sort pruned_l --limit 5",
    "view --sort sex --limit 9",
    "view --sort pruned_loss --ascending --limit 11",
    "view --sort sex --ascending",
    "view --sort age --where age>=40 --split train --limit 7",
    "view --where note!=x --to tsv --columns id,age,pruned_loss,note",
    "view --summary",
    "view --summary --group-by sex,age:20 --columns pruned_loss",
    "view --to csv",
    "view --limit 3",
    "view --where sex=nobody",
    "view --where site!=nowhere",
    "resample",
    "resample --boost 1 --top 0.2 --mark rare",
    "resample --boost 2 --soft",
    "resample --mode repeat --boost 2 --by loss",
    "resample --mode select --where sex=female --share 0.2 --count 20",
    "resample --mode select --unlabelled --count 3",
    "resample --pseudo --boost -1",
    "resample --drop-top 0.1 --drop-by loss --where age>=70 --boost 1 --mark old",
    "resample --by smallness --boost 1 --limit 50",
    "evaluate --hard pruned_loss --split train --group-by sex",
    "evaluate --hard loss --top 0.2 --split train",
]
WITH_MODELS = {  # command lines; {name} is a file
    "prune": "prune {rows} --model {dense} -o {out}.h5 --sparsity 0.6 --recover bn --batch-size 16",
    "look": "look {rows} --model {dense} -o {out}.h5 --looks 2 --look-window 1.7 --look-at median --batch-size 16",
    "report": "report {scored} --attended {pruned} -o {out}.html --split train --gallery 8 --batch-size 16",
    "report, scoring": "report {rows} --model {dense} --pruned {pruned} -o {out}.html --gallery 8 --batch-size 16",
}
HELD = WITH_MODELS | {
    "train": "train {rows} -o {out}.h5 --arch compact --attend none --epochs 1 --batch-size 16",
    "score": "score {rows} --model {dense} --pruned {pruned} --batch-size 4",
    "predict": "predict {rows} --model {dense} --batch-size 4",
    "evaluate": "evaluate {scored} --model {dense} --split train --hard pruned_loss --group-by sex --batch-size 4",
    "resample": "resample {scored}",
    "view": "view {scored} --sort pruned_loss --where age>=0",
}


def synthetic_rows(count: int) -> list[dict]:
    """Rows with hardness, some without boxes, with ties, and with fields that only some have."""
    draw = random.Random(0)
    rows = []
    for i in range(count):
        row = {"id": f"s{i:03}", "group": f"g{i // 2}", "split": "val" if i // 2 % 5 == 0 else "train", "size": [200, 100]}
        if i % 7:
            row["boxes"] = [[10.0, 10.0, 20.0 + i, 60.0]]
        row["meta"] = {"age": draw.randrange(20, 80), "sex": draw.choice(["male", "female", None]), "site": f"p{i % 3}"}
        row["hardness"] = {"loss": round(draw.random(), 1), "pruned_loss": round(draw.random(), 1)}
        row["predicted"] = {"dense": [5.0, 5.0, 50.0, 50.0], "pruned": [6.0, 5.0, 50.0, 50.0 + i % 4]}
        rows.append(row | ({"note": "\u00e9\u2028" if i % 2 else {"deep": [None]}} if i % 10 == 0 else {}))
    return rows


@pytest.mark.parametrize("call", CALLS)
def test_spooled_rows_give_the_same(htl, monkeypatch, call):
    """What a command writes and says does not depend on whether its rows are in memory or in a temporary file."""
    data = joined_lines(synthetic_rows(120))
    command, *flags = call.split()
    first = htl(command, "-", "--no-history", *flags, stdin=data)
    monkeypatch.setattr(spooled, "KEPT", 7)
    assert htl(command, "-", "--no-history", *flags, stdin=data) == first
    assert first[0] in ((0, 65) if "nobody" in call else (0,)), first[2]


def test_a_training_on_spooled_rows_is_the_same(htl, monkeypatch, phantom, dense, tmp_path):
    """Weights, and rows with their training dynamics, are those of rows in memory."""
    monkeypatch.setattr(spooled, "KEPT", 7)
    code, out, err = htl("train", phantom.rows, "-q", "-o", tmp_path / "d.h5", *PLAIN, "--epochs", 2, "--batch-size", 16)
    assert code == 0, err
    assert Checkpoint.load(tmp_path / "d.h5").digest == Checkpoint.load(dense).digest
    before = (phantom.folder / "trained.jsonl").read_bytes()
    assert [line for line in split_lines(out) if "id" in line] == [line for line in split_lines(before) if "id" in line]


@pytest.fixture
def places(phantom, dense, pruned, scored, tmp_path):
    """The files that command lines name."""
    return {"rows": phantom.rows, "dense": dense, "pruned": pruned, "scored": scored, "out": tmp_path / "out"}


@pytest.mark.parametrize("name", WITH_MODELS)
def test_what_is_made_of_spooled_rows_is_the_same(htl, monkeypatch, places, name):
    """A pruned copy, other looks and a page are those of rows in memory, and so are the rows that go on."""
    call = [*WITH_MODELS[name].format(**places).split(), "-q"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")

    def made():
        code, out, err = htl(*call)
        assert code == 0, err
        path = next(places["out"].parent.glob("out.*"))
        content = path.read_bytes()
        path.unlink()
        return content, err, [line for line in split_lines(out) if "id" in line]

    first = made()
    monkeypatch.setattr(spooled, "KEPT", 7)
    assert made() == first


def test_what_export_takes_of_spooled_rows_is_the_same(phantom, dense):
    """A card describes the same data, and a file is calibrated and measured on the same rows."""
    rows = [row.changed(repeat=1) if i % 9 == 0 else row for i, row in enumerate(phantom.samples)]
    several, model = spooled.spooled(rows), CheckpointPredictor(dense, Runtime("cpu"))
    assert described_data(several, "rows.jsonl") == described_data(rows, "rows.jsonl")
    assert list(validation_rows(several, model.task)) == validation_rows(rows, model.task) != []
    for ours, theirs in zip(calibration_images(several, model, 0), calibration_images(rows, model, 0), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("name", HELD)
def test_few_rows_are_held(htl, monkeypatch, places, name):
    """The number of rows that are in memory at a time does not grow with the number of rows."""
    for place in "formats.rows.spooled.KEPT", "tasks.role_objects.KEPT", "commands.report.samples.AT_ONCE":
        monkeypatch.setattr(f"htltools.{place}", 5)
    held = peak = 0

    def begin(row, *args, **fields):
        nonlocal held, peak
        dict.__init__(row, *args, **fields)
        held += 1
        peak = max(peak, held)

    def end(row):
        nonlocal held
        held -= 1

    monkeypatch.setattr(Row, "__init__", begin)
    monkeypatch.setattr(Row, "__del__", end, raising=False)
    peaks = []
    for limit in (40, 80):
        peak, held = 0, 0
        code, _, err = htl(*HELD[name].format(**places).split(), "-q", "--limit", limit, *(["--force"] if "{out}" in HELD[name] else []))
        assert code == 0, err
        peaks.append(peak)
    assert peaks[1] <= max(peaks[0], 30) < 40, peaks


def test_spooled_rows_are_a_sequence():
    """Spooled rows are those that were put in, in any selection and order."""
    rows = [Row(row) for row in synthetic_rows(60)]
    kept = spooled.spooled(rows)
    assert list(kept) == rows and len(kept) == 60 and kept[-1] == rows[-1] and list(kept[3:9]) == rows[3:9]
    chosen = spooled.rows_where(kept, (row.split == "val" for row in kept))
    assert isinstance(chosen, spooled.SpooledRows) and list(chosen) == [row for row in rows if row.split == "val"]


def test_a_full_disk_is_told(htl, monkeypatch, tmp_path):
    """Where the folder of temporary files is full, that is said in one line, with the remedy."""
    monkeypatch.setattr(spooled, "KEPT", 7)
    monkeypatch.setattr(spooled.tempfile, "TemporaryFile", lambda **how: open("/dev/full", "wb"))  # noqa: SIM115
    code, out, err = htl("view", "-", "--sort", "loss", stdin=joined_lines(synthetic_rows(3000)))
    assert (code, out) == (74, b"") and "name a roomier folder with TMPDIR" in err


def test_an_id_far_behind_is_seen_twice(htl, monkeypatch):
    """An id that stands again after many rows is refused with its line."""
    from htltools.formats.rows import seen_names

    monkeypatch.setattr(seen_names, "CHUNK", 8)
    rows = synthetic_rows(100)
    for place in (9, 57, 99):
        again = [*rows[:place], rows[1], *rows[place:]]
        code, _, err = htl("view", "-", "--to", "tsv", stdin=joined_lines(again))
        assert code == 65 and f"line {place + 1}: the id 's001' stands twice" in err
    assert htl("view", "-", stdin=joined_lines(rows))[0] == 0


def test_a_group_of_two_splits_is_seen(htl, monkeypatch):
    """A group that stands in two splits is named, also where rows are spooled."""
    monkeypatch.setattr(spooled, "KEPT", 7)
    rows = synthetic_rows(60)
    rows[41]["split"] = "test"
    code, _, err = htl("evaluate", "-", "--hard", "loss", "--split", "train", stdin=joined_lines(rows))
    assert code == 65 and "the group 'g20' stands in two splits" in err
