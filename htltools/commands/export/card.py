"""`export --card`: a model card from the checkpoint, the file that was exported, and the rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from htltools.commands.evaluate.measure import measured, measured_rows, metric_lines
from htltools.core.statistics.subgroups import FEW, level, usual_fields, value_of
from htltools.formats.page.card import write_card
from htltools.formats.rows.provenance import file_digest
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import SPLITS
from htltools.formats.rows.spooled import rows_where
from htltools.tasks.onnx_predictor import OnnxPredictor
from htltools.tasks.predictor import CheckpointPredictor
from htltools.tasks.rows import reasons_aside

SPLIT = "test"  # what a card measures on
SHOWN = 12  # levels of a field
WHAT = {
    "box": ("object-detection", "It predicts one box an image, around what it was trained to find."),
    "mask": (
        "image-segmentation",
        "It predicts, for each pixel of an image, the probability that it is lesion, and the box around the lesion.",
    ),
    "detect": ("object-detection", "It finds several objects an image, each with its class and a score."),
    "class_map": ("object-detection", "It predicts one box an image; it was trained on labels of images alone, without boxes."),
}
USUAL = (
    "It is known on images like those of the data alone; for other clinics, devices or groups of people expect a lower agreement.",
    "Where an image holds nothing to find, a model of one box or mask predicts something all the same.",
    "Annotation is taken as right; where it is wrong, so are the metrics.",
)


@dataclass(frozen=True)
class Card:
    """A card to be written at `path`, once the file is: of the rows, of which `test` are those to measure on and `aside` the others."""

    path: Path
    rows: Sequence[Row]
    test: Sequence[Row]
    aside: Sequence[Row]


def planned_card(path: Path, rows: Sequence[Row], dense: CheckpointPredictor) -> Card:
    """The card of a model.

    Raises: DataError where no row of split test can be measured.
    """
    return Card(path, rows, *measured_rows(rows, SPLIT, dense.task.is_annotated))


def write_model_card(card: Card, file: Path, dense: CheckpointPredictor, source: str, history: Sequence[dict[str, Any]], seed: int) -> str:
    """Measure an exported file on the test rows, and write its card; a sentence on it. source: what the rows were read from."""
    predictor = OnnxPredictor(file, dense.runtime)
    fields = usual_fields(card.test)
    lines = metric_lines(card.test, [measured(predictor, card.test)], [], [(field,) for field in fields], SPLIT, seed, gaps=False)
    whole = [line for line in lines if line["subgroup"] is None]
    main = whole[0]["metric"]
    large = [line for line in lines if line["subgroup"] and line["metric"] == main and line["n"] >= FEW]
    small = sum(line["n"] < FEW for line in lines if line["subgroup"] and line["metric"] == main)
    kind, what = WHAT.get(dense.task.name, ("image-feature-extraction", f"It is a model of the task {dense.task.name}."))
    groups = len(group_hashes(card.test))
    count = f"{len(card.test)} images of {groups} groups" + (
        f", {len(card.aside)} left out ({reasons_aside(card.aside)})." if card.aside else "."
    )
    notes = [f"{small} subgroups of fewer than {FEW} images are left out."] if small else []
    values = [{"type": line["metric"], "name": line["metric"], "value": line["value"]} for line in whole if line["value"] is not None]
    data = {"name": source, "type": "image-folder", "split": SPLIT}
    facts = {
        "front": {
            "library_name": "onnx",
            "pipeline_tag": kind,
            "tags": ["medical", "localization", "htl", dense.task.name],
            "model-index": [{"name": file.stem, "results": [{"task": {"type": kind}, "dataset": data, "metrics": values}]}],
        },
        "name": file.name,
        "what": what,
        "size": f"{file.stat().st_size:,}",
        "frame": predictor.frame,
        "contract": {
            name: text for name, text in predictor.model.about.items() if name in ("htl.input", "htl.output", "htl.masks", "htl.doubt")
        }
        | ({"classes": ", ".join(predictor.classes), "threshold of the score": f"{predictor.threshold:g}"} if predictor.classes else {}),
        "data": described_data(card.rows, source),
        "training": described_training(dense),
        "commands": [f"{record.get('command')}  # htl {record.get('versions', {}).get('htl')}, {record.get('time')}" for record in history],
        "split": SPLIT,
        "metrics": {
            "count": count,
            "whole": [[line["metric"], *value_and_interval(line)] for line in whole],
            "name": main,
            "subgroups": [[subgroup_text(line["subgroup"]), line["n"], *value_and_interval(line)] for line in large],
            "notes": notes,
        },
        "limits": limits(card, dense, large, main),
        "provenance": {
            "this file, sha256": file_digest(file),
            "its checkpoint, sha256": file_digest(dense.path),
            "its weights, sha256": dense.weights,
            "htl.quantize": predictor.model.about.get("htl.quantize", ""),
        },
    }
    write_card(card.path, facts)
    return f"{card.path}: {main} {whole[0]['value']:.4f} on {count}".rstrip(".")


def described_data(rows: Sequence[Row], source: str) -> dict[str, Any]:
    """Counts of rows by split, and the values of their usual fields."""
    single = rows_where(rows, (not row.repeat for row in rows))
    by_split = {split: rows_where(single, (row.split == split for row in single)) for split in (*SPLITS, None)}
    sizes = np.fromiter((row.size for row in single if row.size), np.dtype((int, 2)))
    pixels = f" Originals have {sizes.min(0)[0]} x {sizes.min(0)[1]} to {sizes.max(0)[0]} x {sizes.max(0)[1]} pixels." if len(sizes) else ""
    groups: dict[str | None, np.ndarray] = {split: group_hashes(own) for split, own in by_split.items()}
    shared = len(np.intersect1d(groups["train"], groups[SPLIT]))
    fields = {}
    for field in usual_fields(single):
        counts = Counter(level(value_of(row, field.name), field.width) for row in single)
        common = ", ".join(f"{name} {count}" for name, count in counts.most_common(SHOWN))
        fields[field.name] = common + (f", and {len(counts) - SHOWN} more" if len(counts) > SHOWN else "")
    return {
        "source": f"{len(single)} images, from {source}.{pixels}",
        "splits": [
            [split or "none", len(own), len(groups[split]), sum(row.is_known and not row.is_pseudo for row in own)]
            for split, own in by_split.items()
            if own
        ],
        "fields": fields,
        "kept_apart": f"{shared} groups are both in train and in {SPLIT}."
        if shared
        else f"No group (such as a patient) is both in train and in {SPLIT}.",
    }


def group_hashes(rows: Sequence[Row]) -> np.ndarray:
    """A hash of each group, each once: int64 [G]. Names would take ten times the memory."""
    return np.unique(np.fromiter((hash(row.group) for row in rows), np.int64))


def described_training(dense: CheckpointPredictor) -> dict[str, str]:
    """What is known of the net and its training, by name."""
    checkpoint = dense.checkpoint
    architecture, pruning, looks = checkpoint.architecture, checkpoint.pruning, checkpoint.architecture.get("looks") or {}
    weights = sum(array.size for array in checkpoint.weights.values())
    facts: dict[str, Any] = {
        "net": architecture["name"],
        "numbers in it": f"{weights:,}",
        "looks": f"{looks['count']}, window {looks['window']:g}" if looks.get("count", 1) > 1 else None,
        "epochs": len(checkpoint.log) or None,
        "mirror images seen": ", ".join(f"{name} {chance:g}" for name, chance in zip(("horizontal", "vertical"), dense.flip or [])),
        "fold left out": "{k}/{K} (seed {seed})".format(**dense.fold) if dense.fold else None,
        "pruned": f"{pruning.get('method')}, sparsity {pruning.get('sparsity')}" if pruning else None,
    }
    facts |= {{"epoch": "epoch kept"}.get(name, name): value for name, value in checkpoint.metrics.items()}
    return {name: str(value) for name, value in facts.items() if value not in (None, "")}


def limits(card: Card, dense: CheckpointPredictor, subgroups: Sequence[dict[str, Any]], main: str) -> list[str]:
    """What the model is not to be trusted with, as far as the checkpoint and the rows tell."""
    found = []
    if val_iou := dense.checkpoint.metrics.get("val_iou"):
        constant = dense.checkpoint.metrics.get("constant_val_iou")
        if constant is not None and val_iou <= constant:
            found.append(
                f"Its validation IoU ({val_iou}) is no better than that of one constant prediction ({constant}): it has learned nothing."
            )
    if len(subgroups) > 1:
        worst = min(subgroups, key=lambda line: line["value"])
        interval = value_and_interval(worst)
        found.append(f"{main} is lowest for {subgroup_text(worst['subgroup'])}: {interval[0]} {interval[1]}, {worst['n']} images.")
    groups = len(group_hashes(card.test))
    if groups < FEW:
        found.append(f"It was tested on {groups} groups only: the figures may be far off.")
    referral = dense.referral
    if referral:
        column, threshold, most = referral["column"], referral["threshold"], referral["max_failure"]
        found.append(f"Images whose {column} is above {threshold:g} are for a person: at most {most:g} then fail unseen, in groups alike.")
    else:
        found.append("No threshold of doubt was set (htl evaluate --max-failure): nothing says which predictions a person must look at.")
    return [*found, *USUAL]


def value_and_interval(line: dict[str, Any]) -> list[str]:
    """The value of a metric, and its interval, as text."""
    value, low, high = ("-" if line[key] is None else f"{line[key]:.4f}" for key in ("value", "low", "high"))
    return [value, f"{low} to {high}" if low != "-" else "-"]


def subgroup_text(subgroup: dict[str, str]) -> str:
    """A subgroup in words."""
    return ", ".join(f"{name} {value}" for name, value in subgroup.items())
