#!/usr/bin/env python3
"""Scores of htl and of cleanlab's object detection module as detectors of wrong boxes, on the same rows and predictions of the same net.

usage: cleanlab_comparison.py OUT [FOLDER...]

Wrong boxes are planted: 5 % in synthetic lesions, and 5 % and 20 % in each FOLDER for `htl prepare`. Files that exist in OUT are used.
SEEDS="0 1 2 3 4"  COUNT=1200 (images)  EPOCHS=10  SIZE=48  FOLDS=0 (K > 1: out-of-sample scores of K nets)

cleanlab needs a confidence and a class of each predicted box, which a localizer of one box does not have. Hence there is one class, and the
confidence is either 1, or the IoU of the boxes of the dense and the pruned net (`agreed`). `badloc` is the score for a box in a wrong
place; `both` has the box of the pruned net as well, and so the same input as `suspect`. The form of `suspect` was chosen on such wrong
boxes in synthetic lesions and in HAM10000, cleanlab's was not: other data are the fairer test. htl neither contains nor needs cleanlab
(AGPL): pip install cleanlab

Results, AUROC and average precision of `suspect` / `badloc, both`, the most precise of cleanlab's scores (3 seeds, phantoms 5):
phantoms 5 %   .990 / .974   .83 / .49
HAM10000 5 %   .988 / .988   .81 / .76     20 %   .987 / .989   .945 / .942      differences within the noise
ISIC 2017 5 %  .976 / .967   .66 / .42     20 %   .967 / .960   .88 / .78        differences of precision beyond it, those of AUROC not
Out of sample, as cleanlab advises (FOLDS=2, half the images for training), ISIC 2017 at 5 %: .952 / .947, .47 / .33, within the noise.
"""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent / "evidence"))
from tables import interval
from wrong_boxes import iou, planted

try:
    from cleanlab.object_detection import rank
    from sklearn.metrics import average_precision_score, roc_auc_score
except ImportError as error:
    print(f"cleanlab_comparison.py: {error}; pip install cleanlab", file=sys.stderr)
    sys.exit(69)

HTL = Path(__file__).resolve().parents[1] / "bin" / "htl"
COUNT, EPOCHS, SIZE, FOLDS = (
    int(os.environ.get(name, value)) for name, value in (("COUNT", 1200), ("EPOCHS", 10), ("SIZE", 48), ("FOLDS", 0))
)
OURS = "suspect", "loss", "pruned_loss"


def made(path: Path, *words: object) -> Path:
    """A file of rows that a command of htl writes, unless it exists."""
    if not path.exists():
        with open(f"{path}.part", "wb") as out:
            subprocess.run([HTL, *map(str, words), "-q"], stdout=out, check=True)
        os.rename(f"{path}.part", path)
    return path


def read(path: Path) -> list[dict]:
    """The rows of a file."""
    return [row for row in map(json.loads, path.open()) if "id" in row]


def scored(out: Path, rows: Path, seed: int) -> list[dict]:
    """The training rows with hardness and predictions of a dense and a pruned net; with FOLDS, of the nets that left them out."""
    models = []
    for fold in range(1, FOLDS + 1) if FOLDS > 1 else [0]:
        dense, pruned = out / f"dense{fold}.h5", out / f"pruned{fold}.h5"
        flags = ["--fold", f"{fold}/{FOLDS}"] if fold else []
        made(out / f"trained{fold}.jsonl", "train", rows, "-o", dense, "--epochs", EPOCHS, "--seed", seed, *flags, "--force")
        made(out / f"noted{fold}.jsonl", "prune", rows, "--model", dense, "-o", pruned, "--sparsity", 0.8, "--seed", seed, "--force")
        models += ["--model", dense, "--pruned", pruned]
    return [row for row in read(made(out / f"scored{FOLDS}.jsonl", "score", rows, *models, "--seed", seed)) if row["split"] == "train"]


def cleanlab_scores(rows: list[dict]) -> dict[str, np.ndarray]:
    """1 - cleanlab's scores of the annotations [N], by name: higher = more likely wrong."""
    labels = [{"bboxes": np.array(row["boxes"], float), "labels": np.zeros(len(row["boxes"]), int)} for row in rows]
    dense, pruned = (np.array([row["predicted"][role] for row in rows], float) for role in ("dense", "pruned"))  # [N, 4], pixels
    ones, agreement = np.ones(len(rows)), np.array([iou(a, b) for a, b in zip(dense, pruned)])
    variants = {"": [(dense, ones)], ", both": [(dense, ones), (pruned, ones)], ", agreed": [(dense, agreement)]}
    qualities = {}
    for variant, predictions in variants.items():
        stacked = np.stack([np.column_stack([boxes, score]) for boxes, score in predictions], 1)  # [N, B, 5]
        detections = [[boxes] for boxes in stacked]  # one class
        qualities[f"cleanlab badloc{variant}"] = rank.pool_box_scores_per_image(
            rank.compute_badloc_box_scores(labels=labels, predictions=detections)
        )
        qualities[f"cleanlab quality{variant}"] = rank.get_label_quality_scores(labels, detections, verbose=False)
        if not variant:
            for name, per_box in ("overlooked", rank.compute_overlooked_box_scores), ("swap", rank.compute_swap_box_scores):
                qualities[f"cleanlab {name}"] = rank.pool_box_scores_per_image(per_box(labels=labels, predictions=detections))
    return {name: 1 - quality for name, quality in qualities.items()}


def figures(rows: list[dict], wrong: set[str]) -> dict[str, tuple[float, float]]:
    """AUROC and average precision of each score for finding the wrong boxes."""
    scores = {name: np.array([row["hardness"][name] for row in rows]) for name in OURS}
    scores["1 - IoU"] = np.array([1 - iou(np.array(row["predicted"]["dense"]), np.array(row["boxes"][0])) for row in rows])
    is_wrong = [row["id"] in wrong for row in rows]
    scores |= cleanlab_scores(rows)
    return {name: (roc_auc_score(is_wrong, values), average_precision_score(is_wrong, values)) for name, values in scores.items()}


def phantoms(out: Path, seed: int) -> tuple[Path, set[str]]:
    """Rows of synthetic lesions, and the ids of those whose box is wrong."""
    rows = made(out / "rows.jsonl", "prepare", "--phantom", COUNT, "--seed", seed, "--size", SIZE, "-j", 1, "-o", out / "store", "--force")
    return rows, {row["id"] for row in read(rows) if row["meta"].get("planted") == "wrong"}


def lesions(out: Path, source: Path, share: float, seed: int) -> tuple[Path, set[str]]:
    """COUNT training rows of a data set, a share of them with a wrong box, with its other splits; and the ids of the wrong boxes."""
    chosen = made(out / "chosen.jsonl", "resample", source, "--mode", "select", "--by", "random", "--count", COUNT, "--seed", seed)
    rows, wrong = planted(read(chosen), share, seed)
    (out / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return out / "rows.jsonl", wrong


def print_table(name: str, runs: list[dict[str, tuple[float, float]]]) -> None:
    """Print the table of a data set: means over seeds with 95 % t intervals, and the difference to `suspect` seed by seed."""
    print(f"\n{name}, {len(runs)} seeds{f', out of sample, {FOLDS} folds' if FOLDS > 1 else ''}")
    print("score\tAUROC\tminus suspect\tAP\tminus suspect")
    for score in runs[0]:
        cells = []
        for i in range(2):
            cells.append(interval([run[score][i] for run in runs], ".4f"))
            cells.append(interval([run[score][i] - run["suspect"][i] for run in runs], "+.4f") if score != "suspect" else "0")
        print(score + "\t" + "\t".join(cells), flush=True)


def main(out: Path, sources: list[Path]) -> None:
    """Run every data set with every seed, and print its table."""
    parts = [("phantoms, 5 % wrong", "phantoms", phantoms)]
    for source in sources:
        name = source.resolve().name
        prepared = made(out / f"{name}.jsonl", "prepare", source, "-o", out / name, "--size", SIZE, "--force")
        for share in 0.05, 0.2:
            rows_of = partial(lesions, source=prepared, share=share)
            parts.append((f"{name}, {100 * share:.0f} % wrong", f"{name}-{share}", rows_of))
    for title, name, rows_of in parts:
        runs = []
        for seed in map(int, os.environ.get("SEEDS", "0 1 2 3 4").split()):
            folder = out / f"{name}-{seed}"
            folder.mkdir(exist_ok=True)
            rows, wrong = rows_of(folder, seed=seed)
            runs.append(figures(scored(folder, rows, seed), wrong))
        print_table(title, runs)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    main(Path(sys.argv[1]), [Path(source) for source in sys.argv[2:]])
