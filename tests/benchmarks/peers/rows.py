"""Rows of `htl prepare` as the peers read them: image files, boxes and classes, masks."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Sample:
    """One image: its file, (width, height), boxes [M, 4] in its pixels, the class of each, and its mask's file, if any."""

    id: str
    file: Path
    size: tuple[int, int]
    boxes: np.ndarray
    classes: list[int]
    mask: Path | None


@dataclass(frozen=True)
class Data:
    """Samples by split, and the names of the classes."""

    train: list[Sample]
    val: list[Sample]
    test: list[Sample]
    names: list[str]


def read(path: Path, limit: int | None = None) -> Data:
    """The samples of rows, `limit` of each split."""
    rows = [row for row in map(json.loads, path.read_text().splitlines()) if "id" in row]
    names = sorted({label for row in rows for label in row.get("labels", ["object"])})
    splits: dict[str, list[Sample]] = {"train": [], "val": [], "test": []}
    for row in rows:
        folder, masks = Path(row["source_folder"]), row.get("mask_files", [])
        labels = [names.index(label) for label in row.get("labels", ["object"] * len(row["boxes"]))]
        mask = folder / masks[0] if masks else None
        sample = Sample(row["id"], folder / row["file"], tuple(row["size"]), np.array(row["boxes"]).reshape(-1, 4), labels, mask)
        splits[row["split"]].append(sample)
    return Data(splits["train"][:limit], splits["val"][:limit], splits["test"][:limit], names)
