"""The setting `doubt` of runs.py: which column tells failures, on the models of the setting `looks`, with the copy that is not pruned."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from lab import Lab, read_rows
from looks import boxes_of

MODELS = "regressor-plain", "regressor-look", "boxes-plain", "boxes-look", "masks-look"
FIGURES = "failure_auroc", "selective_failure_rate@0.8", "selective_iou@0.8"


def doubt(lab: Lab) -> None:
    """Write a line for each model that there is: AUROC of IoU < .5, failures and mean IoU at 80 % coverage, by column and data set."""
    folder = lab.folder.parent / f"looks-all-{lab.seed}"
    data = {"test": folder / "rows.jsonl"} | ({"elsewhere": Path(os.environ["ELSEWHERE"])} if os.environ.get("ELSEWHERE") else {})
    for name in MODELS:
        model = folder / f"{name}.h5"
        if model.exists() and name not in lab.done:
            lab.write(name, doubt={split: figures(model, rows, lab.seed) for split, rows in data.items()})


def figures(model: Path, rows: Path, seed: int) -> dict[str, dict[str, float]]:
    """The figures of each column on the test split of some rows."""
    from htltools.core.geometry.boxes import iou
    from htltools.core.hardness.scores import disagreement, edge_distance
    from htltools.core.runtime.runtime import Runtime
    from htltools.core.statistics.risk_coverage import doubt_values
    from htltools.formats.rows.row import Row
    from htltools.tasks.predictor import CheckpointPredictor
    from htltools.tasks.rows import matching_images, target_boxes

    opened = CheckpointPredictor(model, Runtime("auto"))
    chosen = [Row(row) for row in read_rows(rows) if row["split"] == "test" and row.get("boxes")]
    images, targets = matching_images(chosen, opened.frame, model), target_boxes(chosen)
    predicted = boxes_of(opened, images)
    mirrored = [disagreement(predicted, boxes_of(opened, images, flips)) for flips in ((2,), (1,), (1, 2))]
    columns = {"mirror": np.mean(mirrored, 0), "one mirror": mirrored[0], "random": np.random.default_rng(seed).random(len(predicted))}
    looks = opened.localizer.looks
    if looks.count > 1:
        opened.localizer.looks = replace(looks, count=1)
        columns["look"] = disagreement(predicted, boxes_of(opened, images))
    for kind in "pruned", "unpruned":
        copy = model.with_name(f"{model.stem.partition('-')[0]}-{kind}.h5")
        if copy.exists() and model.stem.endswith("look"):
            boxes = boxes_of(CheckpointPredictor(copy, Runtime("auto")), images)
            columns |= {f"{kind}_disagreement": disagreement(predicted, boxes), f"{kind}_shift": edge_distance(predicted, boxes)}
    reached = iou(predicted, targets)
    found = {name: doubt_values(reached, column, 0.5) for name, column in columns.items()}
    return {name: {figure: float(values[figure][0]) for figure in FIGURES} for name, values in found.items()} | {
        "all": {"failures": float((reached < 0.5).mean()), "iou": float(reached.mean())}
    }
