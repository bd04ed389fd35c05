"""The setting `doubt` of runs.py: which column tells failures, on the models of `looks`, with an unpruned copy, and of `whole`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from lab import DEVICE, ELSEWHERE, Lab, read_rows
from looks import boxes_of

MODELS = "regressor-plain", "regressor-look", "boxes-plain", "boxes-look", "masks-look"
CUT = "regressor-look", "boxes-look"  # models of which there are copies
MODELS_OF = {"all": "looks", "whole": "whole"}  # the setting whose models a protocol takes
FIGURES = "failure_auroc", "selective_failure_rate@0.8", "selective_iou@0.8"


def doubt(lab: Lab) -> None:
    """Write a line for each model that there is: AUROC of IoU < .5, failures and mean IoU at 80 % coverage, by column and data set."""
    folder = lab.folder.parent / f"{MODELS_OF[lab.about['protocol']]}-all-{lab.seed}"
    data = {"test": folder / "rows.jsonl"}
    if ELSEWHERE:
        data["elsewhere"] = Path(ELSEWHERE)
    for name in MODELS:
        model = folder / f"{name}.h5"
        if name in CUT and lab.about["protocol"] == "all" and model.exists():
            copy = folder / f"{name.partition('-')[0]}-random_cut.h5"
            lab.pruned(copy, folder / "rows.jsonl", model, "--method", "random", "--sparsity", 0.5)
        if model.exists() and name not in lab.done:
            lab.write(name, doubt={key: figures(model, rows, lab.seed) for key, rows in data.items()})


def another_seed(model: Path, seed: int) -> Path | None:
    """The model of the same name of the next seed that there is; after the last comes the first."""
    folders = {int(path.name.rpartition("-")[2]): path for path in model.parent.parent.glob(f"{model.parent.name.rpartition('-')[0]}-*")}
    others = sorted(
        (other for other, path in folders.items() if other != seed and (path / model.name).exists()),
        key=lambda other: (other < seed, other),
    )
    return folders[others[0]] / model.name if others else None


def figures(model: Path, rows: Path, seed: int) -> dict[str, dict[str, float]]:
    """The figures of each column on the test split of some rows."""
    from htltools.core.geometry.boxes import iou
    from htltools.core.hardness.scores import disagreement, edge_distance
    from htltools.core.runtime.runtime import Runtime
    from htltools.core.statistics.risk_coverage import doubt_values
    from htltools.formats.rows.row import Row
    from htltools.tasks.predictor import CheckpointPredictor
    from htltools.tasks.rows import matching_images, target_boxes

    opened = CheckpointPredictor(model, Runtime(DEVICE))
    chosen = [Row(row) for row in read_rows(rows) if row["split"] == "test" and row.get("boxes")]
    images, targets = matching_images(chosen, opened.frame, model), target_boxes(chosen)
    predicted = boxes_of(opened, images)

    def against(path: Path) -> np.ndarray:
        return boxes_of(CheckpointPredictor(path, Runtime(DEVICE)), images)

    mirrored = [disagreement(predicted, boxes_of(opened, images, flips)) for flips in ((2,), (1,), (1, 2))]
    columns = {
        "three mirrors": np.mean(mirrored, 0),
        "two mirrors": np.mean(mirrored[:2], 0),
        "one mirror": mirrored[0],
        "smallness": -(predicted[:, 2] - predicted[:, 0]) * (predicted[:, 3] - predicted[:, 1]),
        "random": np.random.default_rng(seed).random(len(predicted)),
    }
    looks = opened.localizer.looks
    if looks.count > 1:
        opened.localizer.looks = replace(looks, count=1)
        columns["look"] = disagreement(predicted, boxes_of(opened, images))
        columns["two mirrors and look"] = np.mean([*mirrored[:2], columns["look"]], 0)
        opened.localizer.looks = looks
    if other := another_seed(model, seed):
        columns["another seed"] = disagreement(predicted, against(other))
    for kind in "pruned", "unpruned", "random_cut":
        copy = model.with_name(f"{model.stem.partition('-')[0]}-{kind}.h5")
        if copy.exists() and model.stem.endswith("look"):
            boxes = against(copy)
            columns |= {f"{kind}_disagreement": disagreement(predicted, boxes), f"{kind}_shift": edge_distance(predicted, boxes)}
            columns[f"one mirror and {kind}"] = (mirrored[0] + columns[f"{kind}_disagreement"]) / 2
    reached = iou(predicted, targets)
    found = {name: doubt_values(reached, column, 0.5) for name, column in columns.items()}
    return {name: {figure: float(values[figure][0]) for figure in FIGURES} for name, values in found.items()} | {
        "all": {"failures": float((reached < 0.5).mean()), "iou": float(reached.mean())}
    }
