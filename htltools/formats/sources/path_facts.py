"""Splits, classes and patients that the folders of images say."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from htltools.formats.sources.path_words import mentions_images, patient_of, split_of_folder, study_of
from htltools.formats.tables.facts import Facts

CLASSES = 50  # at most, and of two images each at least: other folders are those of patients, series or days


@dataclass
class PathFacts:
    """What the folders of N images say of each, and from where: {"splits": "folders train, test"}."""

    splits: list[str | None]
    labels: list[str | None]
    groups: list[str | None]
    studies: list[str | None]
    roles: dict[str, str] = field(default_factory=dict)

    def added_to(self, facts: Facts, i: int, free: set[str]) -> Facts:
        """The facts of image i, with what its folders say of `free`: split, label, group, where nothing else says them of any image."""
        said: dict[str, Any] = {"split": self.splits[i], "label": self.labels[i], "group": self.groups[i]}
        said = {name: value for name, value in said.items() if value and name in free}
        if self.studies[i]:
            said["meta"] = {"study": self.studies[i]} | facts.meta
        return replace(facts, **said) if said else facts


def path_facts(paths: Sequence[str], own: Sequence[str] = ()) -> PathFacts:
    """What the folders of images at these relative paths say; `own`: the names of the sources that the paths are relative to.

    Folders are splits where two splits at least appear. They are classes where each image lies in one of several, below those of
    splits and of images, and their names have no numbers in them, or are the same in all splits.

    >>> facts = path_facts(["train/well/1.png", "train/ill/2.png", "train/well/3.png", "train/ill/4.png", "val/well/5.png"])
    >>> facts.splits, facts.labels[:2], facts.roles
    (['train', 'train', 'train', 'train', 'val'], ['well', 'ill'], {'splits': 'folders train, val', 'labels': 'folders ill, well'})
    """
    by_folder: dict[str, tuple] = {}
    rows = []
    for i, path in enumerate(paths):
        folder = os.path.dirname(path)
        key = f"{own[i]}\0{folder}" if own else folder
        rows.append(by_folder.get(key) or by_folder.setdefault(key, folder_facts(folder, own[i] if own else "")))
    splits, labels, groups, studies = ([row[k] for row in rows] for k in range(4))
    facts = PathFacts(splits, labels, groups, studies)
    named = sorted({(row[0], row[4]) for row in by_folder.values() if row[0]}, key=lambda each: ("train", "val", "test").index(each[0]))
    if len({split for split, _ in named}) > 1:
        facts.roles["splits"] = "folders " + ", ".join(dict.fromkeys(name for _, name in named))
    else:
        facts.splits = [None] * len(paths)
    if classes := class_names(facts.labels, facts.splits):
        facts.roles["labels"] = "folders " + ", ".join(classes)
    else:
        facts.labels = [None] * len(paths)
    if any(facts.groups):
        facts.roles["groups"] = f"folders such as {next(filter(None, facts.groups))}"
    return facts


def folder_facts(folder: str, own: str) -> tuple[str | None, str | None, str | None, str | None, str | None]:
    """Split, class, patient and study of a folder, and the name that says the split; the class is the one name that says nothing else."""
    parts = folder.split(os.sep) if folder else []
    said = next((part for part in parts if split_of_folder(part)), None)
    split = said or (own if split_of_folder(own) else None)
    rest = [part for part in parts if part != said and not mentions_images(part)]
    label = rest[0] if len(rest) == 1 else None
    return (split_of_folder(split) if split else None), label, patient_of(parts), study_of(parts) if patient_of(parts) else None, split


def class_names(labels: Sequence[str | None], splits: Sequence[str | None]) -> list[str]:
    """The classes, sorted, where these are such; else none."""
    names = {name for name in labels if name is not None}
    if None in labels or not 1 < len(names) <= CLASSES or len(labels) < 2 * len(names):
        return []
    numbered = any(any(map(str.isdigit, name)) and len(name) > 1 for name in names)
    by_split: dict[str | None, set[str | None]] = defaultdict(set)
    for label, split in zip(labels, splits, strict=True):
        by_split[split].add(label)
    everywhere = len(by_split) > 1 and all(own == names for own in by_split.values())
    return sorted(names) if everywhere or not (numbered or any(patient_of([name]) for name in names)) else []
