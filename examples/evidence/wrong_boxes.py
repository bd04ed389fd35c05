"""Wrong boxes planted among the training rows, and the AUROC of a column that should find them."""

import numpy as np
from scipy import stats

LOW, HIGH = 0.1, 0.6  # IoU of a wrong box with the true one


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two boxes."""
    width, height = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    return width * height / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - width * height)


def wrong_box(random: np.random.Generator, box: list[float], size: list[int]) -> list[float]:
    """A plausible wrong box in the same image: moved and resized until its IoU with the true one is in [LOW, HIGH)."""
    true = np.array(box)
    centre, sides = (true[:2] + true[2:]) / 2, true[2:] - true[:2]
    for _ in range(10_000):
        middle, half = centre + sides * random.uniform(-0.6, 0.6, 2), sides * np.exp(random.uniform(-0.6, 0.5, 2)) / 2
        moved = np.concatenate([np.clip(middle - half, 0, None), np.minimum(middle + half, size)])
        if (moved[2:] - moved[:2] > 1).all() and LOW <= iou(moved, true) < HIGH:
            return moved.tolist()
    return [0, 0, size[0] / 3, size[1] / 3]


def planted(rows: list[dict], share: float, seed: int) -> tuple[list[dict], set[str]]:
    """The rows with wrong boxes among those of split train, and the ids of those."""
    random = np.random.default_rng(seed)
    changed, wrong = [], set()
    for row in rows:
        if row["split"] == "train" and row.get("boxes") and random.random() < share:
            wrong.add(row["id"])
            row = row | {"boxes": [wrong_box(random, row["boxes"][0], row["size"])]}
        changed.append(row)
    return changed, wrong


def auroc(values: list[float], is_wrong: list[bool]) -> float:
    """The probability that a wrong box has a higher value than a right one."""
    ranks, wrong = stats.rankdata(values), np.array(is_wrong)
    count = wrong.sum()
    return float((ranks[wrong].sum() - count * (count + 1) / 2) / (count * (~wrong).sum()))
