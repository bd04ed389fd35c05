#!/usr/bin/env python3
"""Wrong boxes planted among the training rows: how well does `suspect` find them, and does dropping them help?

usage: suspects.py ROWS OUT [SEED...]
    htl prepare FOLDER -o store --size 64 > rows.jsonl && examples/suspects.py rows.jsonl OUT 0 1 2 3 4

For each seed, 5 % of the annotated training rows get a box moved and resized to an IoU of 0.1 to 0.6 with the true one. Then four
trainings of equal gradient steps are held against each other on the test split, whose boxes stay as they are: on the clean rows, on the
noisy ones, and on the noisy ones with `weight` 0 for 5 % of them, by `suspect` or at random. EPOCHS=10. What is in OUT is not made again.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy import stats

ROOT = Path(__file__).resolve().parents[1]
SHARE, LOW, HIGH = 0.05, 0.1, 0.6
EPOCHS = os.environ.get("EPOCHS", "10")
COLUMNS = "suspect", "loss", "pruned_loss", "el2n", "drift", "random"


def htl(*words: object, out: Path | None = None) -> None:
    """Run a command of this checkout, its rows to a file; its failure is ours."""
    with open(out or os.devnull, "wb") as stdout:
        subprocess.run([ROOT / "bin" / "htl", *map(str, words), "-q"], stdout=stdout, check=True)


def read(path: Path) -> list[dict]:
    """The rows of a file."""
    return [row for row in map(json.loads, path.open()) if "id" in row]


def write(path: Path, rows: list[dict]) -> None:
    """Rows without notes, which is a valid stream."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two boxes."""
    width, height = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    return width * height / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - width * height)


def wrong_box(random: np.random.Generator, box: list[float], size: list[int]) -> list[float]:
    """A box in the same picture that is wrong, but not absurd."""
    true = np.array(box)
    centre, sides = (true[:2] + true[2:]) / 2, true[2:] - true[:2]
    for _ in range(10_000):
        middle, half = centre + sides * random.uniform(-0.6, 0.6, 2), sides * np.exp(random.uniform(-0.6, 0.5, 2)) / 2
        found = np.concatenate([np.clip(middle - half, 0, None), np.minimum(middle + half, size)])
        if (found[2:] - found[:2] > 1).all() and LOW <= iou(found, true) < HIGH:
            return found.tolist()
    return [0, 0, size[0] / 3, size[1] / 3]


def noisy(rows: list[dict], seed: int) -> tuple[list[dict], set[str]]:
    """The rows with wrong boxes among them, and the ids of those."""
    random = np.random.default_rng(seed)
    found, planted = [], set()
    for row in rows:
        if row["split"] == "train" and row.get("boxes") and random.random() < SHARE:
            planted.add(row["id"])
            row = row | {"boxes": [wrong_box(random, row["boxes"][0], row["size"])]}
        found.append(row)
    return found, planted


def without(rows: list[dict], gone: set[str]) -> list[dict]:
    """The rows, those that are gone with a weight of 0: as many gradient steps as with them."""
    return [row | {"weight": 0.0} if row["id"] in gone else row for row in rows]


def auroc(values: np.ndarray, planted: np.ndarray) -> float:
    """The chance that a planted sample stands above another one."""
    ranks, count = stats.rankdata(values), planted.sum()
    return float((ranks[planted].sum() - count * (count + 1) / 2) / (count * (~planted).sum()))


def test_iou(rows: Path, model: Path) -> float:
    """Mean IoU on the test split."""
    metrics = model.with_suffix(".metrics.jsonl")
    if not metrics.exists():
        htl("evaluate", rows, "--model", model, "-o", metrics)
    return next(line["value"] for line in map(json.loads, metrics.open()) if line["metric"] == "iou_mean" and not line["subgroup"])


def of_seed(clean: list[dict], out: Path, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """AUROC by column, and test IoU by what was trained on."""
    out.mkdir(parents=True, exist_ok=True)
    rows, planted = noisy(clean, seed)
    common = "--epochs", EPOCHS, "--seed", seed
    write(out / "clean.jsonl", clean)
    write(out / "noisy.jsonl", rows)
    for name in "clean", "noisy":
        if not (out / f"{name}.h5").exists():
            htl("train", out / f"{name}.jsonl", "-o", out / f"{name}.h5", *common)
    if not (out / "pruned.h5").exists():
        htl("prune", out / "noisy.jsonl", "--model", out / "noisy.h5", "-o", out / "pruned.h5", "--sparsity", 0.8, "--seed", seed)
    models = "--model", out / "noisy.h5", "--pruned", out / "pruned.h5", "--seed", seed
    htl("score", out / "noisy.jsonl", *models, out=out / "scored.jsonl")
    scored = [row for row in read(out / "scored.jsonl") if row["split"] == "train" and row.get("boxes")]
    is_planted = np.array([row["id"] in planted for row in scored])
    columns = {name: np.array([row["hardness"][name] for row in scored]) for name in COLUMNS}
    for name in "suspect", "random":
        worst = np.argsort(-columns[name], kind="stable")[: round(SHARE * len(scored))]
        write(out / f"no_{name}.jsonl", without(rows, {scored[i]["id"] for i in worst}))
        if not (out / f"no_{name}.h5").exists():
            htl("train", out / f"no_{name}.jsonl", "-o", out / f"no_{name}.h5", *common)
    names = "clean", "noisy", "no_suspect", "no_random"
    return (
        {name: auroc(values, is_planted) for name, values in columns.items()},
        {name: test_iou(out / "clean.jsonl", out / f"{name}.h5") for name in names},
    )


def told(values: list[float], form: str) -> str:
    """Mean and 95 % t interval over seeds."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:{form}}"
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{mean:{form}} [{mean - half:{form}}, {mean + half:{form}}]"


def main(source: Path, out: Path, seeds: list[int]) -> None:
    """Print the table."""
    clean = read(source)
    found = [of_seed(clean, out / str(seed), seed) for seed in seeds]
    print(f"{len(seeds)} seeds, {EPOCHS} epochs\n\nAUROC of planted wrong boxes")
    for name in COLUMNS:
        print(f"  {name:12} {told([aurocs[name] for aurocs, _ in found], '.4f')}")
    print("\ntest IoU, and its difference to training on the noisy rows")
    for name in "clean", "noisy", "no_suspect", "no_random":
        ious = [ious[name] for _, ious in found]
        print(f"  {name:12} {np.mean(ious):.4f}  {told([a - b['noisy'] for a, (_, b) in zip(ious, found)], '+.4f')}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: suspects.py ROWS OUT [SEED...]")
    main(Path(sys.argv[1]), Path(sys.argv[2]), [int(word) for word in sys.argv[3:]] or [0])
