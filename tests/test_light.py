"""A light installation: what htl does where torch is not installed, and what it says of the rest."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT, made

OF_TORCH = {"torch", "torchvision", "torch-pruning", "onnxscript"}  # the last one is for torch's exporter alone
WITHOUT = """
import sys


class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "torch_pruning", "onnxscript"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Missing())
"""


def parsed(lines):
    """Requirements by name, without markers and comments."""
    wanted = (line.partition(";")[0].strip() for line in lines if line.strip() and not line.startswith("#"))
    return {re.split(r"[<>=]", line)[0]: line for line in wanted}


def test_requirements_are_those_of_the_package():
    """requirements-light.txt has every dependency of the package but torch's, and of onnxruntime the one for CPUs."""
    whole = parsed(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    light = parsed((ROOT / "requirements-light.txt").read_text().splitlines())
    assert whole.keys() - light.keys() == OF_TORCH | {"onnxruntime-gpu"}
    assert light == {name: line for name, line in whole.items() if name in light}


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """`light(*args, stdin="", beside=None)` runs htl in a process in which torch cannot be imported, with the packages of a folder more:
    exit code, stdout, stderr.
    """
    folder = tmp_path_factory.mktemp("light")
    (folder / "sitecustomize.py").write_text(WITHOUT)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HTL_")}
    environment = kept | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "COLUMNS": "200"}

    def run(*args, stdin: str = "", beside: Path | None = None):
        own = environment | ({"PYTHONPATH": f"{beside}{os.pathsep}{environment['PYTHONPATH']}"} if beside else {})
        line = [sys.executable, "-m", "htltools", *map(str, args)]
        done = subprocess.run(line, input=stdin.encode(), capture_output=True, cwd=folder, env=own)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return run


@pytest.fixture(scope="module")
def onnx(phantom, dense, pruned):
    """The dense model and its pruned copy as ONNX files: their paths."""
    paths = phantom.folder / "dense.onnx", phantom.folder / "pruned.onnx"
    for model, path in zip((dense, pruned), paths):
        made("export", phantom.rows, "-q", "--model", model, "-o", path)
    return paths


def rows_of(text: str) -> list[dict]:
    """The rows of a stream without its notes."""
    return [row for line in text.splitlines() if "htl" not in (row := json.loads(line))]


def test_torch_is_out_of_reach(light):
    """The check itself: in these processes no import of torch succeeds."""
    code, _, err = light("train", "-", "-o", "m.h5", "--debug", stdin='{"id":"a"}\n')
    assert code == 69 and "ModuleNotFoundError: No module named 'torch'" in err


def test_images_become_rows(light, phantom, tmp_path):
    """`prepare` and `view --check` need no torch: the store is the one that a whole installation writes."""
    code, out, err = light("prepare", "--phantom", 80, "--size", 32, "-j", 2, "-o", tmp_path / "store")
    assert code == 0, err
    theirs = rows_of(phantom.rows.read_text())
    assert [row | {"store": None} for row in rows_of(out)] == [row | {"store": None} for row in theirs]
    assert light("view", "--check", tmp_path / "store")[0] == 0


def test_rows_are_seen(light, scored, onnx, dense, tmp_path):
    """`view` draws, sums up, exports and describes models, and `resample` weighs, as everywhere."""
    for args in (
        ["view", scored, "--sort", "pruned_loss", "--limit", 6, "--sheet", tmp_path / "sheet.png", "--to", "tsv"],
        ["view", scored, "--summary", "--group-by", "sex"],
        ["view", scored, "--to", f"coco:{tmp_path / 'coco.json'}"],
        ["view", scored, "--limit", 2, "--thumbnails", "blocks", "--to", "tsv"],
        ["view", dense],
        ["view", onnx[0]],
        ["resample", scored, "--by", "pruned_disagreement", "--top", 0.3],
    ):
        code, out, err = light(*args)
        assert code == 0, err
        assert out or args[-1] == f"coco:{tmp_path / 'coco.json'}"
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_onnx_files_score_as_checkpoints(light, onnx, phantom, scored):
    """`score` of ONNX files gives the columns of their checkpoints, and knows a copy from a stranger."""
    code, out, err = light("score", phantom.rows, "--model", onnx[0], "--pruned", onnx[1], "--also", "mirror_disagreement")
    assert code == 0, err
    theirs = {row["id"]: row["hardness"] for row in rows_of(scored.read_text())}
    for row in rows_of(out):
        assert 0 <= row["hardness"].pop("mirror_disagreement") <= 1
        assert row["hardness"] == pytest.approx(theirs[row["id"]], abs=1e-4)
    assert '"role":' not in out  # notes of rows name checkpoints
    code, _, err = light("score", phantom.rows, "--model", onnx[1], "--pruned", onnx[0])
    assert code == 65 and "dense.onnx is no pruned model; are --model and --pruned swapped?" in err
    code, _, err = light("score", phantom.rows, "--model", onnx[0], "--also", "grand")
    assert code == 65 and "is an ONNX file, which has no gradients or features for --also grand; name checkpoints" in err


def test_onnx_files_predict_and_are_measured(light, onnx, phantom, tmp_path):
    """`predict` and `evaluate` give with an ONNX file, byte for byte, what they give where torch is installed."""
    for args in (
        ["predict", phantom.rows, "--model", onnx[0], "--csv", "-"],
        ["predict", phantom.rows, "--model", onnx[0], "--pruned", onnx[1], "--doubt", "pruned", "--csv", "-"],
        ["evaluate", phantom.rows, "--model", onnx[0], "--baseline", onnx[1], "--group-by", "sex"],
        ["evaluate", phantom.rows, "--model", onnx[0], "--doubt", "mirror_disagreement", "--doubt", "smallness"],
        ["evaluate", phantom.rows, "--model", onnx[0], "--split", "train", "--hard", "smallness", "--top", 0.2],
    ):
        code, out, err = light(*args)
        assert code == 0, err
        assert out.encode() == made(*args)
    code, _, err = light("predict", phantom.folder / "store", "--model", onnx[0], "--coco-results", tmp_path / "r.json", "--csv", "-")
    assert code == 0, err
    code, out, err = light("evaluate", phantom.rows, "--predictions", tmp_path / "r.json")
    assert code == 0, err
    assert [json.loads(line)["metric"] for line in out.splitlines()][0] == "iou_mean"
    code, out, err = light("score", phantom.rows, "--predictions", tmp_path / "r.json", tmp_path / "r.json")
    assert code == 0, err
    assert {row["hardness"]["pruned_disagreement"] for row in rows_of(out)} == {0}


def test_two_packages_of_onnxruntime_are_told(light, onnx, phantom, tmp_path):
    """Where several packages that write onnxruntime's files are installed, and no GPU is used, a warning says how to mend that."""
    for name in ("onnxruntime", "onnxruntime_gpu"):
        (tmp_path / f"{name}-1.0.dist-info").mkdir()
        (tmp_path / f"{name}-1.0.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    args = "predict", phantom.rows, "--model", onnx[0], "--limit", 1, "--doubt", "none", "--csv", "-", "-q"
    remedy = "pip uninstall onnxruntime onnxruntime-gpu, then install the one that you want"
    assert light(*args, beside=tmp_path)[2] == (
        "htl predict: onnxruntime and onnxruntime-gpu are both installed, and write the same files, so that a GPU may go unused; "
        f"{remedy}\n"
    )
    assert light(*args, "--device", "cpu", beside=tmp_path)[2] == ""


REMEDY = "install htl whole (INSTALLATION in htl(1)), or take ONNX files, which htl export makes of checkpoints where torch is"


def test_what_needs_torch_says_so(light, phantom, dense, pruned, tmp_path):
    """A command that trains, prunes or exports, and a checkpoint in any other one, is one line: what needs torch, and what to do."""
    for command in (["train", "-o", "m.h5"], ["prune", "--model", dense, "-o", "p.h5"], ["export", "--model", dense, "-o", "m.onnx"]):
        code, out, err = light(*command, phantom.rows)
        assert (code, out, err) == (69, "", f"htl {command[0]}: this needs torch, which is not installed; {REMEDY}\n")
    for command in (
        ["score", "--model", dense, "--pruned", pruned, phantom.rows],
        ["evaluate", "--model", dense, phantom.rows],
        ["predict", "--model", dense, phantom.rows],
    ):
        code, out, err = light(*command)
        assert (code, out) == (69, "")
        assert err == f"htl {command[0]}: {dense}, a checkpoint, needs torch, which is not installed; {REMEDY}\n"
    assert not list(Path(tmp_path).iterdir())
