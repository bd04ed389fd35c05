"""`--nproc-per-node` and torchrun: one job in several processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.jsonlines import split_lines

ROOT = Path(__file__).parents[2]
QUICK = ["--epochs", "3", "--batch-size", "16"]


def start(*arguments, stdin=None, module="htltools", **environment) -> subprocess.Popen:
    """htl in a process of its own, with one thread for each worker."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HTL_")}
    words = [sys.executable, "-m", module, *map(str, arguments)]
    how = {"env": kept | {"OMP_NUM_THREADS": "1"} | environment, "cwd": ROOT, "text": True}
    return subprocess.Popen(words, stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)


@pytest.fixture(scope="module")
def forked(served):
    """As `start`, of htl whose processes, as this one, are forks: they need not import torch."""
    workers = Path(served["PATH"].split(os.pathsep)[0], "workers")
    environment = served | {"WORKERS": str(workers), "OMP_NUM_THREADS": "1"}
    how = {"env": environment, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return lambda *arguments, stdin=subprocess.DEVNULL: subprocess.Popen(["htl", *map(str, arguments)], stdin=stdin, **how)


def ended(process: subprocess.Popen) -> tuple[int, list[dict], str]:
    """Exit code, stdout as JSON Lines, stderr."""
    out, err = process.communicate(timeout=300)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err


def weights(path) -> dict[str, np.ndarray]:
    """The weights of a checkpoint."""
    weights = {}
    with h5py.File(path) as file:
        file["weights"].visititems(lambda name, item: weights.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return weights


@pytest.fixture(scope="module")
def rows(phantom):
    """A file of 80 rows."""
    return phantom.rows


@pytest.fixture(scope="module")
def undisturbed(forked, rows, tmp_path_factory):
    """A training in two processes: its checkpoint and what it said."""
    out = tmp_path_factory.mktemp("two") / "two.h5"
    with rows.open("rb") as stdin:
        return out, *ended(forked("train", "-o", out, "--nproc-per-node", 2, *QUICK, stdin=stdin))


def test_rows_from_stdin_and_one_voice(undisturbed):
    """Two processes read the rows of one stdin; one of them talks and writes the rows, all of them, once."""
    out, code, lines, err = undisturbed
    assert code == 0, err
    assert sum("id" in line for line in lines) == 80
    assert [line["htl"] for line in lines if "htl" in line] == ["begin", "model", "end"]
    assert err.count("3/3") == err.count(f"{out}: epoch") == 1
    assert not out.with_name("two.resume.h5").exists()
    assert "Warning" not in err


@pytest.mark.slow
def test_torchrun_is_the_same(rows, undisturbed, tmp_path):
    """torchrun itself gives the same weights in every bit as --nproc-per-node."""
    out = tmp_path / "two.h5"
    run = ["--standalone", "--nproc-per-node", 2, "-m", "htltools", "train", rows, "-o", out, *QUICK]
    code, lines, err = ended(start(*run, module="torch.distributed.run"))
    assert code == 0, err
    assert sum("id" in line for line in lines) == 80
    expected = weights(undisturbed[0])
    assert all(np.array_equal(array, expected[name]) for name, array in weights(out).items())


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(rows, undisturbed, tmp_path):
    """A worker that is killed: all start again after the last epoch, and end where the undisturbed training does, bit for bit."""
    out = tmp_path / "two.h5"
    process = start("train", rows, "-o", out, "--nproc-per-node", 2, *QUICK)
    while not (out.with_name("two.resume.h5")).exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    victims = subprocess.run(["pgrep", "-f", f"htltools train {rows}"], capture_output=True, text=True).stdout.split()
    os.kill(max(int(pid) for pid in victims if int(pid) != process.pid), signal.SIGKILL)
    code, lines, err = ended(process)
    assert code == 0, err
    assert "a worker was killed by signal 9: all start again" in err
    assert "going on after epoch" in err
    assert [line for line in lines if "id" in line] == [line for line in undisturbed[2] if "id" in line]
    expected = weights(undisturbed[0])
    assert all(np.array_equal(array, expected[name]) for name, array in weights(out).items())


def test_evaluate_shares_the_rows(htl, forked, rows, dense):
    """Two processes measure what one measures, and write it once."""
    code, shared, err = ended(forked("evaluate", rows, "--model", dense, "--batch-size", 3, "--nproc-per-node", 2))
    assert code == 0, err
    for ours, theirs in zip(shared, split_lines(htl("evaluate", rows, "--model", dense)[1]), strict=True):
        assert ours["metric"] == theirs["metric"]
        assert ours["value"] == pytest.approx(theirs["value"], abs=1e-5)


def test_score_shares_the_rows(htl, forked, rows, dense, pruned, tmp_path):
    """Two processes give every row, in order, the hardness that one gives it, also where models have folds."""
    flags = ["--also", "grand,dropout_disagreement"]
    figures = Checkpoint.load(pruned).pruning
    for k, models in enumerate([(dense, pruned), (pruned, dense)], 1):
        whole, copy = tmp_path / f"dense{k}.h5", tmp_path / f"pruned{k}.h5"
        for model, path in zip(models, (whole, copy)):
            checkpoint = Checkpoint.load(model)
            checkpoint.fold = {"k": k, "K": 2, "seed": 0}
            checkpoint.pruning = figures | {"dense_sha256": Checkpoint.load(whole).digest} if path == copy else None
            checkpoint.save(path)
        flags += ["--model", whole, "--pruned", copy]
    with rows.open("rb") as stdin:
        code, shared, err = ended(forked("score", "--nproc-per-node", 2, *flags, "--batch-size", 7, stdin=stdin))
    assert code == 0, err
    alone = split_lines(htl("score", rows, *flags)[1])
    assert [line.get("id") for line in shared] == [line.get("id") for line in alone]
    assert {row["split"]: "pie" in row["hardness"] for row in shared if "id" in row} == {"train": False, "val": True, "test": True}
    for ours, theirs in zip(shared, alone, strict=True):
        assert ours.get("hardness", {}) == pytest.approx(theirs.get("hardness", {}), abs=1e-4)


def test_prune_shares_the_recovery(forked, rows, dense, tmp_path):
    """Two processes recover one pruned model, with the zeros held, and write it once."""
    out = tmp_path / "p.h5"
    code, lines, err = ended(forked("prune", rows, "--model", dense, "-o", out, "--sparsity", 0.6, "--epochs", 1, "--nproc-per-node", 2))
    assert code == 0, err
    assert sum("id" in line for line in lines) == 80
    assert err.count("of the weights cut") == 1
    cut = np.concatenate([array.ravel() for name, array in weights(out).items() if array.ndim > 1])
    assert np.mean(cut == 0) == pytest.approx(0.6, abs=0.001)


def test_wrong_calls_start_nothing(rows, tmp_path):
    """What is wrong with flags, rows or the output is an error before any process starts, reported once."""
    out = tmp_path / "m.h5"
    out.touch()
    assert ended(start("train", rows, "-o", out, "--nproc-per-node", 2)) == (
        73,
        [],
        f"htl train: {out} exists; replace it with --force, or name another output\n",
    )
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"id": 1}\n')
    code, _, err = ended(start("train", bad, "-o", tmp_path / "n.h5", "--nproc-per-node", 2))
    assert (code, err.count("\n")) == (65, 1)
    assert ended(start("train", rows, "-o", out, "--nproc-per-node", 0))[0] == 2


def test_a_failure_of_the_workers_has_its_code(forked, rows, tmp_path):
    """A worker that fails gives its exit code to the whole, and its message is printed once: here rows without a split."""
    path = tmp_path / "all.jsonl"
    path.write_text(rows.read_text().replace('"split":"train"', '"split":"test"'))
    code, _, err = ended(forked("train", path, "-o", tmp_path / "m.h5", "--nproc-per-node", 2))
    assert code == 65
    assert err.count("no annotated row of split train") == 1
    assert "Traceback" not in err


def test_stdin_cannot_be_shared(tmp_path):
    """Under torchrun rows come from a file: two processes would tear stdin apart."""
    alone = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    code, _, err = ended(start("train", "-o", tmp_path / "m.h5", **alone))
    assert (code, err) == (2, "htl train: several processes cannot share stdin; name a file of rows, or start them with --nproc-per-node\n")


def test_a_result_that_stands_goes_on_to_its_rows(htl, forked, rows, dense, tmp_path):
    """The same prune again, whose checkpoint is there, writes the rows of before, in two processes as in one; another is refused (73)."""
    command = "prune", rows, "--model", dense, "-o", tmp_path / "p.h5", "--recover", "none", "--sparsity"
    code, out, err = htl(*command, 0.5)
    assert code == 0, err
    code, again, err = ended(forked(*command, 0.5, "--nproc-per-node", 2))
    assert code == 0, err
    assert [line for line in again if "id" in line] == [line for line in split_lines(out) if "id" in line]
    assert htl(*command, 0.6)[0] == 73
