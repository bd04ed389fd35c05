"""EVIDENCE.md and README.md: their tables are those of the committed runs, and the script that writes them copes with other runs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "examples" / "evidence" / "document.py"
PAGES = "EVIDENCE.md", "README.md"


def written(runs: Path, *documents: Path) -> None:
    """Let the script fill documents from runs."""
    done = subprocess.run([sys.executable, SCRIPT, runs, *documents], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_tables_are_those_of_the_runs(tmp_path):
    """The committed documents are what the script makes of the committed runs, byte by byte."""
    copies = [Path(shutil.copy(ROOT / name, tmp_path)) for name in PAGES]
    written(SCRIPT.with_name("looks.jsonl"), *copies)
    assert [copy.read_text() for copy in copies] == [(ROOT / name).read_text() for name in PAGES]


def run_of(setting: str, seed: int, arm: str, test: float, elsewhere: float | None = None, protocol: str = "all") -> dict:
    """A run with a mean IoU on the test split, and perhaps on another data set."""
    splits = {"test": {"iou_mean": test}} | ({} if elsewhere is None else {"elsewhere": {"iou_mean": elsewhere}})
    return {"setting": setting, "protocol": protocol, "seed": seed, "arm": arm, **splits}


@pytest.fixture
def page(tmp_path):
    """`page(runs, *names)` gives the lines of a document with these blocks."""

    def make(runs: list[dict], *names: str) -> list[str]:
        (tmp_path / "runs.jsonl").write_text("".join(json.dumps(run) + "\n" for run in runs))
        (tmp_path / "page.md").write_text("".join(f"<!-- runs: {name} -->\nold\n<!-- end -->\n" for name in names))
        written(tmp_path / "runs.jsonl", tmp_path / "page.md")
        return (tmp_path / "page.md").read_text().splitlines()

    return make


def test_differences_have_intervals_over_the_seeds_that_both_have(page):
    """Arms are compared seed by seed; a further arm stands under its own name; a cell of fewer seeds says so."""
    runs = [run_of("looks", seed, "regressor:plain", 0.80, 0.60) for seed in range(3)]
    runs += [run_of("looks", seed, "regressor:look", 0.80 + gain, 0.63) for seed, gain in enumerate((0.01, 0.02, 0.03))]
    runs += [run_of("looks", 0, "regressor:new", 0.79), run_of("looks", 7, "regressor:new", 0.1)]
    runs += [run_of("looks", seed, "regressor:glance:pruned", 0.81, 0.62 if seed else None) for seed in range(3)]
    lines = page(runs, "looks.regressor", "few")
    assert lines[3] == "| trained on whole images, one look | 3 | .800 | – | – | – | .600 |"
    # t of 2 degrees of freedom 4.3027, standard error .01 / sqrt(3)
    assert lines[4] == "| `train --attend look`, the default | 3 | +.020 [-.005, +.045] | – | – | – | +.030 [+.030, +.030] |"
    assert lines[5].endswith("| 3 | +.010 [+.010, +.010] | – | – | – | +.020 (2) |")
    assert lines[6] == "| new | 1 | -.010 | – | – | – | – |"
    assert lines[-2] == "No run of the setting `few` is in the repository."


def test_doubt_and_supervision(page):
    """The blocks of the other settings: AUROC by column, few boxes by share, labels alone against the map."""
    figures = {"failure_auroc": 0.9, "selective_failure_rate@0.8": 0.1, "selective_iou@0.8": 0.85}
    found = {"test": {"two mirrors": figures, "new": figures | {"failure_auroc": 0.8}, "all": {"failures": 0.2, "iou": 0.8}}}
    runs = [{"setting": "doubt", "protocol": "all", "seed": 0, "arm": "boxes-look", "doubt": found}]
    runs += [run_of("few", 0, f"boxes:{arm}", iou, protocol="1%") for arm, iou in (("plain", 0.5), ("teacher:look", 0.75))]
    runs += [run_of("weaklooks", 0, arm, iou) for arm, iou in (("maps", 0.5), ("boxes:look", 0.625))]
    rare = {"plain": (0.5, 0.25, 0.75), "look": (0.625, 0.5, 0.75)}
    for arm, figures in rare.items():
        splits = dict(zip(("iou_mean", "rare.iou_mean", "others.iou_mean"), figures, strict=True))
        runs.append({"setting": "rarelooks", "protocol": "small", "seed": 0, "arm": f"boxes:{arm}", "test": splits})
    text = "\n".join(page(runs, "doubt", "few", "weaklooks", "rarelooks"))
    assert "**pixels, from boxes alone, looks, HAM10000**: mean IoU .800, failures .200, 1 seed\n" in text
    assert "\n| `mirror_disagreement`, 2 mirror images | .900 | – | .100 | .850 |\n| new | .800 | -.100 | .100 | .850 |\n" in text
    assert "**1% of the boxes, pixels, from boxes alone**" in text and "\n| mean teacher, looks again | 1 | +.250 |" in text
    assert "\n| pixels, from boxes alone: the same, looks again | 1 | +.125 |" in text
    assert "\n| trained on whole images, one look | 1 | .250 | – | .750 | .500 |\n" in text
    assert "\n| `train --attend look`, the default | 1 | +.250 | – | +.000 | +.125 |\n" in text
