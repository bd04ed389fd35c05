"""`train --shuffle`: images that exceed memory are drawn from a few shards at a time."""

import pytest

from htltools.commands.train import shuffling
from htltools.formats.models.checkpoint import Checkpoint
from tests.conftest import PLAIN, made


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Rows of two stores of 24 images each."""
    folder = tmp_path_factory.mktemp("two")
    parts = [made("prepare", "--phantom", 48, "--size", 16, "-j", 1, "-q", "-o", folder / str(k), "--part", f"{k}/2") for k in (1, 2)]
    for k, part in enumerate(parts):
        (folder / f"{k}.jsonl").write_bytes(part)
    (folder / "rows.jsonl").write_bytes(made("join", "-q", folder / "0.jsonl", folder / "1.jsonl"))
    return folder / "rows.jsonl"


def test_shards(htl, rows, tmp_path, monkeypatch):
    """Shards are drawn where they are asked for, and by default where the images exceed memory; stderr and the checkpoint say so."""
    train = ["train", rows, *PLAIN, "--epochs", 1, "--batch-size", 8, "-o"]
    errors = {name: htl(*train, tmp_path / f"{name}.h5", "--shuffle", name)[2] for name in ("auto", "full", "shards")}
    monkeypatch.setattr(shuffling, "physical_memory", lambda: 30_000.0)
    errors["small"] = htl(*train, tmp_path / "small.h5")[2]
    models = {name: Checkpoint.load(tmp_path / f"{name}.h5") for name in errors}
    assert models["auto"].digest == models["full"].digest != models["shards"].digest == models["small"].digest
    assert [model.training.get("shuffle") for model in models.values()] == [None, None, "shards", "shards"]
    assert "in 2 shards" not in errors["auto"] + errors["full"]
    assert "in 2 shards: an epoch draws from 2 of them at a time; --shuffle full or shards settles it" in errors["shards"]
    assert "in 2 shards, more than half of the memory (0.0 GiB): an epoch draws from 2" in errors["small"]


def test_few_labels_are_drawn_from_all(htl, rows, tmp_path):
    """Semi-supervised training has no such order, which is said."""
    code, _, err = htl("train", rows, "-o", tmp_path / "s.h5", "--supervision", "semi", "--shuffle", "shards")
    assert code == 2 and "--shuffle shards does not go with --supervision semi" in err
