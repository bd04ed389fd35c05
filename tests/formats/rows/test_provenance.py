"""Provenance: how an output came to be."""

import json
from pathlib import Path

from htltools import __version__
from htltools.formats.rows.jsonlines import compact_json
from htltools.formats.rows.provenance import Run, file_digest


def test_a_record_says_all_that_it_takes_to_repeat_a_run(monkeypatch):
    """Command line, versions, resolved parameters, seed and digests of inputs stand in the record, as plain JSON."""
    monkeypatch.setattr("sys.argv", ["htl", "train", "my rows.jsonl", "--epochs", "3"])
    record = Run("train", {"out": Path("m.h5"), "epochs": 3, "seed": 5, "jobs": 2, "where": ["a", None]}).record(
        {"rows": "ab12"}, device="cpu"
    )
    assert record["command"] == "htl train 'my rows.jsonl' --epochs 3"
    assert record["versions"]["htl"] == __version__
    assert record["inputs"] == {"rows": "ab12"}
    assert record["parameters"]["seed"] == 5
    assert record["parameters"]["out"] == "m.h5"
    assert json.loads(compact_json(record)) == record
    assert "cpu" in json.dumps(record)


def test_the_chain_grows_by_one():
    """Each command appends its record to those before, and changes none of them."""
    before = [{"run": "a"}, {"run": "b"}]
    run = Run("score", {})
    chain = run.chain(before)
    assert chain[:2] == before
    assert chain[2]["run"] == run.id
    assert len(before) == 2


def test_no_history_keeps_none_and_is_stable():
    """--no-history drops the chain, and two equal calls have equal ids."""
    runs = [Run("view", {"limit": 3}, history=False) for _ in range(2)]
    assert runs[0].chain([{"run": "a"}]) == []
    assert runs[0].id == runs[1].id
    assert Run("view", {"limit": 4}, history=False).id != runs[0].id


def test_source_date_epoch_makes_records_stable(monkeypatch):
    """With SOURCE_DATE_EPOCH two equal calls write equal bytes, and the time is that one."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    first, second = (Run("view", {"limit": 3}).record() for _ in range(2))
    assert first == second
    assert first["time"] == "1970-01-02T00:00:00Z"


def test_ids_of_runs_differ(monkeypatch):
    """Two runs of the same command are two runs."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert Run("view", {}).id != Run("view", {}).id


def test_digest_of_a_file(tmp_path):
    """Inputs are named by the sha256 that sha256sum prints."""
    (tmp_path / "x").write_bytes(b"abc")
    assert file_digest(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
