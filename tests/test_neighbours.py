"""The examples for other programs: Make, DVC and cleanlab."""

import json
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from htltools.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
STAGE = re.compile(r"^  (\w+):\n((?:    .*\n|\n)+)", re.M)


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_makes_what_is_outdated_and_nothing_else(shell, examples):
    """The Makefile runs the main job; a second make does nothing; another parameter runs it again; a failure leaves no partial file."""
    make = f"{examples}/Makefile N=60 SIZE=32 out/metrics.jsonl"
    ran = shell(f"{make} EPOCHS=1")
    assert ran.returncode == 0, ran.stderr
    metrics = [json.loads(line) for line in shell("cat out/metrics.jsonl").stdout.splitlines()]
    assert {"iou_mean", "iou_mean.delta"} <= {line["metric"] for line in metrics}
    again = shell(f"{make} EPOCHS=1")
    assert (again.returncode, again.stdout) == (0, "make: 'out/metrics.jsonl' is up to date.\n")
    failed = shell(f"{make} EPOCHS=1 TRAIN=--no-such-flag -W out/rows.jsonl")
    assert failed.returncode == 2
    assert "htl train: " in failed.stderr and "Deleting file 'out/dense.jsonl'" in failed.stderr
    assert shell("ls out/dense.h5 out/scored.jsonl").returncode == 0, "the old model stays"
    planned = shell(f"{make} EPOCHS=2 -n")
    assert [line.split()[1] for line in planned.stdout.splitlines()] == ["prepare", "train", "prune", "train", "evaluate"]


def stages() -> dict[str, dict[str, list[str]]]:
    """The commands, inputs and outputs of each stage of dvc.yaml, which keeps to the few forms of YAML that this reads."""
    parsed = {}
    for name, body in STAGE.findall((EXAMPLES / "dvc" / "dvc.yaml").read_text().partition("\nstages:\n")[2] + "\n"):
        parsed[name] = {key: re.findall(r"[\w.]+", listed) for key, listed in re.findall(r"^    (deps|outs): \[(.*)\]$", body, re.M)}
        parsed[name]["cmd"] = re.findall(r"htl .*", body)
        parsed[name].setdefault("outs", re.findall(r"^      - ([\w.]+):$", body, re.M))
    return parsed


def test_dvc_stages_hang_together():
    """Every stage of the DVC pipeline names what its commands read and write, and every parameter has a value."""
    given = set(re.findall(r"^(\w+): ", (EXAMPLES / "dvc" / "params.yaml").read_text(), re.M))
    made: set[str] = set()
    for name, stage in stages().items():
        text = " ".join(stage["cmd"])
        assert {line.split()[1] for line in stage["cmd"]} <= set(COMMANDS)
        assert set(re.findall(r"\$\{(\w+)\}", text)) <= given
        assert set(stage.get("deps", [])) <= made, name
        assert set(re.findall(r"[\w.]+\.(?:jsonl|h5)", text)) <= {*stage.get("deps", []), *stage["outs"]}, name
        assert all("--no-history" in line or " evaluate " in line for line in stage["cmd"])
        assert not any("|" in line for line in stage["cmd"]), "a pipe hides the exit code of all but its last"
        made |= set(stage["outs"])
    assert len(made) == 12


@pytest.mark.skipif(not shutil.which("dvc"), reason="dvc is not installed")
def test_dvc_runs_what_changed(shell, tmp_path):
    """`dvc repro` runs the pipeline; then it has nothing to do; what runs again gives the same bytes; a parameter runs its stage."""
    shutil.copytree(EXAMPLES / "dvc", tmp_path / "mine")
    params = tmp_path / "mine" / "params.yaml"
    params.write_text(params.read_text().replace("2000", "60").replace("size: 64", "size: 32").replace("epochs: 20", "epochs: 1"))
    first = shell("cd mine && dvc init --no-scm -q && dvc repro")
    assert first.returncode == 0, first.stderr
    assert "iou_mean.delta" in (tmp_path / "mine" / "metrics.jsonl").read_text()
    assert shell("cd mine && dvc repro").stdout.count("didn't change, skipping") == len(stages())
    assert shell("cd mine && dvc repro --force --single-item prepare train").returncode == 0
    assert shell("cd mine && dvc status").stdout.strip() == "Data and pipelines are up to date."
    params.write_text(params.read_text().replace("0.8", "0.7"))
    assert shell("cd mine && dvc status").stdout.split() == ["prune:", "changed", "command"]


def test_the_comparison_with_cleanlab(shell, tmp_path):
    """Without cleanlab the comparison says how to install it and exits with 69; with it, it prints AUROC and precision of each score."""
    ran = shell(f"{sys.executable} {EXAMPLES}/cleanlab_comparison.py out", SEEDS="0 1", COUNT=150, EPOCHS=1, SIZE=32)
    if not find_spec("cleanlab"):
        assert (ran.returncode, ran.stdout) == (69, "")
        assert ran.stderr == "cleanlab_comparison.py: No module named 'cleanlab'; pip install cleanlab\n"
        assert not (tmp_path / "out").exists()
        return
    assert ran.returncode == 0, ran.stderr
    assert re.search(
        r"^phantoms, 5 % wrong, 2 seeds\nscore\tAUROC\tminus suspect\tAP\tminus suspect\nsuspect\t0\.\d{4} \[", ran.stdout, re.M
    )
    assert len(re.findall(r"^cleanlab (?:badloc|quality|overlooked|swap)", ran.stdout, re.M)) == 8
