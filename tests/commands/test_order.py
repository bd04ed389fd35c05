"""No result depends on the order of rows: every command on the same rows, shuffled."""

import random
import re

import pytest

from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.jsonlines import joined_lines, split_lines
from tests.conftest import PLAIN


def shuffled(data: bytes) -> bytes:
    """The rows of a stream in another order, without its notes."""
    rows = [line for line in split_lines(data) if "id" in line]
    random.Random(0).shuffle(rows)
    return joined_lines(rows)


def by_id(out: bytes) -> dict:
    """Rows by id."""
    return {line["id"]: line for line in split_lines(out) if "id" in line}


@pytest.fixture(scope="module")
def trained(phantom, dense):
    """What `train` wrote, rows with dynamics, in the order of the store and in another one."""
    rows = (phantom.folder / "trained.jsonl").read_bytes()
    return rows, shuffled(rows)


def test_train(htl, phantom, dense, trained, tmp_path):
    """The weights are the same bit for bit, and so are the training dynamics of each row."""
    code, out, _ = htl(
        "train", "-q", "-o", tmp_path / "d.h5", *PLAIN, "--epochs", 2, "--batch-size", 16, stdin=shuffled(phantom.rows.read_bytes())
    )
    assert code == 0
    assert Checkpoint.load(tmp_path / "d.h5").digest == Checkpoint.load(dense).digest
    assert by_id(out) == by_id(trained[0])


def test_every_training_row_has_dynamics(trained):
    """No row sits out."""
    assert all("negative_aum" in row["hardness"] for row in by_id(trained[0]).values() if row["split"] == "train")


def test_prune(htl, dense, trained, tmp_path):
    """The recovered weights are the same bit for bit, and the same command on shuffled rows finds its work done."""
    prune = ["prune", "--model", dense, "--sparsity", 0.5, "--epochs", 1, "--batch-size", 16]
    errors = [htl(*prune, "-o", tmp_path / name, stdin=rows)[2] for name, rows in zip(("a.h5", "b.h5", "a.h5"), (*trained, trained[1]))]
    assert Checkpoint.load(tmp_path / "a.h5").digest == Checkpoint.load(tmp_path / "b.h5").digest
    assert "is what the same command came to before" in errors[2]


def test_score(htl, dense, pruned, trained):
    """Each row has the same hardness and the same boxes, wherever it stands."""
    first, second = (by_id(htl("score", "-q", "--model", dense, "--pruned", pruned, stdin=rows)[1]) for rows in trained)
    for name, row in first.items():
        assert row["hardness"] == pytest.approx(second[name]["hardness"], abs=3e-6)
        assert row["predicted"]["dense"] == pytest.approx(second[name]["predicted"]["dense"], abs=0.02)


@pytest.mark.parametrize(
    "flags",
    [
        ["--top", "0.3", "--boost", "0.7"],
        ["--soft", "--boost", "3"],
        ["--mode", "repeat", "--top", "0.2"],
        ["--mode", "select", "--top", "0.4", "--mark", "hard"],
        ["--mode", "select", "--where", "sex=female", "--share", "0.3"],
    ],
    ids=" ".join,
)
def test_resample(htl, scored, flags):
    """The same rows are hard, with the same weights; a column of few values too."""
    rows = [line for line in split_lines(scored.read_bytes()) if "id" in line]
    for row in rows:
        row["hardness"]["pruned_loss"] = round(row["hardness"]["pruned_loss"], 1)
    data = joined_lines(rows)
    first, second = (split_lines(htl("resample", "-q", *flags, stdin=each)[1]) for each in (data, shuffled(data)))
    written = [sorted((line["id"], line.get("repeat", 0), repr(line)) for line in lines if "id" in line) for lines in (first, second)]
    assert written[0] == written[1]


@pytest.mark.parametrize("flags", [["--group-by", "sex,age:20"], ["--hard", "pruned_loss", "--split", "train"]], ids=" ".join)
def test_evaluate(htl, dense, scored, flags):
    """All lines of metrics, intervals and odds are the same, byte for byte."""
    model = ["--model", dense] if "--hard" not in flags else []
    data = scored.read_bytes()
    first, second = (htl("evaluate", "-q", *model, *flags, stdin=each) for each in (data, shuffled(data)))
    assert first == second and first[0] == 0


@pytest.mark.parametrize(
    "flags", [["--sort", "pruned_loss", "--to", "tsv"], ["--sort", "sex", "--limit", "9", "--to", "tsv"], ["--summary"]]
)
def test_view(htl, scored, flags):
    """A sorted table is the same, ties and the order of columns included, and so is a summary."""
    data = scored.read_bytes()
    first, second = (htl("view", "-q", *flags, stdin=each) for each in (data, shuffled(data)))
    assert first == second and first[0] == 0


def test_report(htl, dense, pruned, scored, tmp_path):
    """The page is the same but for what was run."""
    pages = []
    for name, data in (("a", scored.read_bytes()), ("b", shuffled(scored.read_bytes()))):
        command = "report", "-q", "--no-history", "-o", tmp_path / f"{name}.html", "--model", dense, "--pruned", pruned, "--gallery", 6
        assert htl(*command, stdin=data)[0] == 0
        pages.append(re.sub(r"(?s)<section[^>]*>\s*<h2[^>]*>What was run.*?</section>", "", (tmp_path / f"{name}.html").read_text()))
    assert pages[0].replace("a.html", "b.html") == pages[1]
