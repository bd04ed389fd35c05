"""The benchmarks, which no test runs, against the names of today; mypy checks that they call what there is. Of the comparison with
peers what needs no peer is run."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

BENCHMARKS = sorted((Path(__file__).parent / "benchmarks").glob("*.py"))
PEERS = Path(__file__).parent / "benchmarks" / "peers"


@pytest.fixture
def importable(monkeypatch):
    """The folders of the scripts, which import each other by bare names; these are forgotten again."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(PEERS.parent)
    monkeypatch.syspath_prepend(PEERS)
    yield
    for name in {path.stem for path in PEERS.glob("*.py")} & (set(sys.modules) - before):
        del sys.modules[name]


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_benchmarks_import(path, monkeypatch):
    """Whatever a benchmark imports of htl is there."""
    monkeypatch.syspath_prepend(path.parent)
    runpy.run_path(str(path), run_name="imported")


@pytest.mark.parametrize("path", sorted(PEERS.glob("*.py")), ids=lambda path: path.stem)
def test_comparison_with_peers_imports(path, importable):
    """Whatever the comparison with peers imports is there; the script of MONAI needs MONAI."""
    if path.stem == "unet":
        pytest.importorskip("monai", reason="MONAI is installed only beside the benchmark")
    runpy.run_path(str(path), run_name="imported")


def test_peers_are_measured_alike(importable):
    """Each annotated object counts with the best predicted one of its class, 0 without one; average precision is COCO's."""
    from measure import metrics
    from rows import Data, Sample

    box = np.array([[0.0, 0, 10, 10]])
    samples = [Sample(name, Path(name), (20, 10), box, [0], None) for name in "ab"]
    exact, half = np.array([[0, 0, 10, 10, 0, 0.9], [5, 5, 9, 9, 0, 0.1]]), np.array([[0, 0, 10, 5, 0, 0.8]])
    found = metrics(Data([], [], samples, ["object"]), [exact, half])
    assert found == pytest.approx({"iou_mean": 0.75, "acc@0.75": 0.5, "iou_p10": 0.55, "ap": (1 + 9 * 51 / 101) / 10})
    found = metrics(Data([], [], samples, ["object"]), [exact, np.zeros((0, 6))])
    assert found == pytest.approx({"iou_mean": 0.5, "acc@0.75": 0.5, "iou_p10": 0.1, "ap": 51 / 101})


def test_table_of_peers_has_ranges_over_seeds(importable):
    """The table has the mean over seeds with the smallest and the largest, and runs of other budgets in a table of their own."""
    from run import table

    usual = {"data": "lesions", "tool": "htl", "acc@0.75": 1.0, "ap": 0.5, "iou_p10": 0.25, "predict_cpu_ms": 2.0, "epochs": 3}
    runs = [usual | {"minutes": 2, "seed": seed, "iou_mean": iou} for seed, iou in enumerate((0.7, 0.9))]
    runs += [usual | {"minutes": 4, "seed": 0, "iou_mean": 0.6}]
    assert "| htl, its default | 2 | 0.800 (0.700 to 0.900) | 1.000 (1.000 to 1.000) |" in table(runs) and "minus" not in table(runs)
    runs += [usual | {"minutes": 2, "seed": 2, "iou_mean": 0.8}]
    runs += [usual | {"tool": "yolo", "minutes": 2, "seed": seed, "iou_mean": iou} for seed, iou in enumerate((0.6, 0.7, 0.5))]
    # t of 2 degrees of freedom 4.3027, standard error of .1, .2 and .3: .1 / sqrt(3)
    assert "| Ultralytics YOLO26n | +0.200 [-0.048, +0.448] | +0.000 [+0.000, +0.000] |" in table(runs)
    runs = runs[2:3]
    assert "**lesions**, 4 minutes of two cores" in table(runs)
    assert "| htl, its default | 1 | 0.600 | 1.000 | 0.500 | 0.250 | 2.0 | 3.0 | 3 commands |" in table(runs)


@pytest.mark.parametrize("document", [PEERS / "README.md", PEERS.parents[2] / "EVIDENCE.md"], ids=lambda path: path.name)
def test_documents_have_the_table_of_peers(document, importable):
    """The documents have the table that the committed runs give: run.py --table results.jsonl."""
    from run import table

    assert table(list(map(json.loads, (PEERS / "results.jsonl").read_text().splitlines()))) in document.read_text()


@pytest.mark.slow
def test_comparison_with_peers_runs_and_resumes(tmp_path):
    """One command trains, predicts and measures, and leaves out what its file has; here the tools that need nothing installed."""
    folder, rng = tmp_path / "spots", np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    lines = ["image_id,split,x0,y0,x1,y1"]
    for number in range(24):
        x, y = rng.integers(0, 40, 2)
        image = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(image).ellipse((x, y, x + 20, y + 20), "black")
        image.save(folder / "images" / f"{number}.png")
        lines.append(f"{number},{('train', 'train', 'val', 'test')[number % 4]},{x},{y},{x + 21},{y + 21}")
    (folder / "metadata.csv").write_text("\n".join(lines))
    out = tmp_path / "results.jsonl"
    words = [sys.executable, PEERS / "run.py", folder, "--quick", "--tools", "htl-once", "faster_rcnn", "-o", out]
    said = [subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stdout for _ in range(2)]
    runs = {line["tool"]: line for line in map(json.loads, out.read_text().splitlines())}
    assert set(runs) == {"htl-once", "faster_rcnn"}
    assert len(out.read_text().splitlines()) == 2
    assert all(0 <= runs[tool][name] <= 1 for tool in runs for name in ("iou_mean", "acc@0.75", "iou_p10", "ap"))
    assert all(runs[tool]["epochs"] > 0 and runs[tool]["train_cpu_s"] > 0 for tool in runs)
    assert said[0] == said[1]
