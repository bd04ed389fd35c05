"""The setting `promise` of runs.py: whether a threshold of doubt keeps its promise on other patients, over random halves of them."""

from pathlib import Path

import numpy as np
from doubt import MODELS
from lab import DEVICE, Lab, read_rows
from looks import boxes_of

HALVES = 100
LIMITS = 0.02, 0.03  # share of all images that may fail (IoU < .5) unreferred


def promise(lab: Lab) -> None:
    """Write a line for each model that there is: how many halves kept the promise, of those that could give one, and the share referred.

    The annotated rows of val and test are dealt anew by group; one half sets the threshold, the other tells the rate. Doubt: two mirrors.
    """
    folder = lab.folder.parent / f"looks-all-{lab.seed}"
    for name in MODELS:
        if (folder / f"{name}.h5").exists() and name not in lab.done:
            fails, doubt, groups = failures(folder / f"{name}.h5", folder / "rows.jsonl")
            lab.write(name, promise={str(limit): kept(fails, doubt, groups, limit, lab.seed) for limit in LIMITS})


def failures(model: Path, rows: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether each annotated row of val and test fails, bool [N], its doubt [N], and its group [N]."""
    from htltools.core.geometry.boxes import iou
    from htltools.core.hardness.scores import disagreement
    from htltools.core.runtime.runtime import Runtime
    from htltools.formats.rows.row import Row
    from htltools.tasks.predictor import CheckpointPredictor
    from htltools.tasks.rows import matching_images, target_boxes

    opened = CheckpointPredictor(model, Runtime(DEVICE))
    chosen = [Row(row) for row in read_rows(rows) if row["split"] in ("val", "test") and row.get("boxes")]
    images = matching_images(chosen, opened.frame, model)
    predicted = boxes_of(opened, images)
    mirrored = [disagreement(predicted, boxes_of(opened, images, flips)) for flips in ((2,), (1,))]
    return iou(predicted, target_boxes(chosen)) < 0.5, np.mean(mirrored, 0), np.array([row.group for row in chosen])


def kept(fails: np.ndarray, doubt: np.ndarray, groups: np.ndarray, limit: float, seed: int) -> dict[str, float]:
    """Over HALVES random halves of the groups: promises given and kept, and means of the rates on the half that set no threshold."""
    from htltools.core.statistics.risk_control import ReferralMetrics, controlled_threshold

    rates = []
    for turn in range(HALVES):
        names = np.random.default_rng((seed, turn)).permutation(np.unique(groups))
        setting = np.isin(groups, names[: len(names) // 2])
        found = controlled_threshold(fails[setting], doubt[setting], groups[setting], limit)
        if found:
            other = ReferralMetrics(fails[~setting], ~(doubt[~setting] <= found.threshold), groups[~setting]).values()
            rates.append([other["unreferred_failure_rate"][0], other["refer_rate"][0]])
    unreferred, referred = np.reshape(rates, (-1, 2)).T
    figures = {"given": len(rates), "kept": int((unreferred <= limit).sum())}
    return figures | ({"unreferred_failure_rate": float(unreferred.mean()), "refer_rate": float(referred.mean())} if rates else {})
