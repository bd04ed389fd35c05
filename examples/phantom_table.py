#!/usr/bin/env python3
"""The table of examples/phantom_hardness.sh: the share of each planted kind that is in the top 30 % of each score.

usage: phantom_table.py OUT

Training split. Chance is 0.30. Means over seeds, and the smallest and the largest seed. `size` is the rank correlation
of the score with smallness among ordinary samples: a score that only measures size has a high one.
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy import stats

TOP = 0.3
COLUMNS = "pruned_loss", "pruned_disagreement", "pruned_shift", "iou_drop", "loss_gap", "loss", "smallness", "random"
KINDS = "small", "faint", "hairy", "border", "rare", "wrong"


def recalls(path: Path) -> dict[str, dict[str, float]]:
    """By column: the share of each kind that is in the top, and the correlation with smallness."""
    rows = [row for row in map(json.loads, path.open()) if row.get("split") == "train" and "hardness" in row]
    planted = np.array([row["meta"].get("planted") or "" for row in rows])
    smallness = np.array([row["hardness"]["smallness"] for row in rows])
    table = {}
    for column in COLUMNS:
        values = np.array([row["hardness"][column] for row in rows])
        top = np.zeros(len(rows), bool)
        top[np.argsort(-values, kind="stable")[: round(TOP * len(rows))]] = True
        table[column] = {kind: float(top[planted == kind].mean()) for kind in KINDS if (planted == kind).any()}
        table[column]["all planted"] = float(top[planted != ""].mean())
        table[column]["size"] = float(stats.spearmanr(values[planted == ""], smallness[planted == ""]).statistic)
    return table


def main(out: Path) -> None:
    """Print one table for each kind of recovery."""
    for recover in ("none", "finetune"):
        seeds = [recalls(path) for path in sorted(out.glob(f"*/{recover}.jsonl"))]
        print(f"\nrecovery {recover}, {len(seeds)} seeds\t" + "\t".join((*KINDS, "all planted", "size")))
        for column in COLUMNS:
            cells = []
            for kind in (*KINDS, "all planted", "size"):
                values = [seed[column][kind] for seed in seeds if kind in seed[column]]
                cells.append(f"{np.mean(values):.2f} ({min(values):.2f}..{max(values):.2f})")
            print(column + "\t" + "\t".join(cells))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
