#!/usr/bin/env python3
"""The tables of examples/controls.sh: attended minus dense over seeds, and rank correlations of hardness.

usage: controls_table.py OUT

Means over seeds, with a 95 % t interval over seeds; the test set is the same for all.
"""

import json
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy import stats

METRICS = "iou_mean", "iou_p10", "acc@0.75", "failure_rate"
COLUMNS = "pruned_disagreement", "pruned_shift", "pruned_loss", "iou_drop", "loss_gap", "loss"


def metrics(path: Path) -> dict[str, float]:
    """Values by metric of one run, all samples."""
    lines = map(json.loads, path.read_text().splitlines())
    return {line["metric"]: line["value"] for line in lines if line["subgroup"] is None}


def over_seeds(values: list[float]) -> str:
    """Mean and t interval."""
    mean = np.mean(values)
    if len(values) < 2:
        return f"{mean:+.4f}"
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}]"


def hardness(path: Path, split: str) -> dict[str, np.ndarray]:
    """Columns of hardness of one split, in the order of ids."""
    rows = sorted((row for row in map(json.loads, path.open()) if row.get("split") == split), key=lambda row: row["id"])
    return {name: np.array([row["hardness"][name] for row in rows]) for name in (*COLUMNS, "smallness")}


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation."""
    return float(stats.spearmanr(a, b).statistic)


def main(out: Path) -> None:
    """Print the tables."""
    seeds = sorted(path for path in out.iterdir() if (path / "dense.jsonl").exists())
    if not seeds:
        sys.exit(f"{out} holds no finished seed of controls.sh")
    runs = sorted({path.stem for seed in seeds for path in seed.glob("*.jsonl") if not path.stem.endswith(".log")} - {"scored", "dense"})
    dense = [metrics(seed / "dense.jsonl") for seed in seeds]
    print(f"{len(seeds)} seeds; test split; dense: " + ", ".join(f"{name} {np.mean([of[name] for of in dense]):.4f}" for name in METRICS))
    print("\nattended minus dense\t" + "\t".join(METRICS))
    for run in runs:
        there = [metrics(seed / f"{run}.jsonl") for seed in seeds if (seed / f"{run}.jsonl").exists()]
        print(run + "\t" + "\t".join(over_seeds([values[f"{m}.delta"] for values in there]) for m in METRICS) + f"\t({len(there)} seeds)")
    for split in ("train", "test"):
        scored = [hardness(seed / "scored.jsonl", split) for seed in seeds if (seed / "scored.jsonl").exists()]
        print(f"\nrank correlation, {split} split\tseed to seed\twith smallness\twith loss")
        for name in COLUMNS:
            pairs = [spearman(a[name], b[name]) for a, b in combinations(scored, 2)] or [float("nan")]
            smallness, loss = ([spearman(s[name], s[other]) for s in scored] for other in ("smallness", "loss"))
            print(f"{name}\t{np.mean(pairs):.3f}\t{np.mean(smallness):+.3f}\t{np.mean(loss):+.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
