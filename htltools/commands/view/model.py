"""`view` of a model: what is in a checkpoint or an ONNX file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from htltools import console
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.models.file_kind import CHECKPOINT, ONNX
from htltools.formats.models.onnx import OnnxModel
from htltools.formats.rows.fields import cell

FACTS = "name", "task", "size", "input", "classes", "most"  # of an architecture


def show_model(path: Path, kind: str) -> None:
    """Print what is in a model of a kind of `file_kind`, one line for each fact.

    Raises: DataError where the file is damaged.
    """
    facts = onnx_facts(OnnxModel(path, "cpu")) if kind == ONNX else checkpoint_facts(Checkpoint.load(path))
    console.show_table(["field", str(path)], [[name, text_of(value)] for name, value in facts if value not in (None, "", [], {})])


def checkpoint_facts(checkpoint: Checkpoint) -> list[tuple[str, Any]]:
    """What is in a checkpoint, by name."""
    architecture, pruning = checkpoint.architecture, checkpoint.pruning or {}
    weights = checkpoint.weights
    threshold = weights.get("threshold")
    return [
        ("kind", "a pruned checkpoint" if pruning else CHECKPOINT),
        *((name, architecture.get(name)) for name in FACTS),
        ("looks", architecture.get("looks")),
        ("parameters", sum(array.size for array in weights.values())),
        ("sparsity", f"{sparsity(weights):.4f}"),
        ("threshold", f"{float(threshold.item()):.6g}" if threshold is not None and threshold.size == 1 else None),
        *((f"metrics.{name}", value) for name, value in checkpoint.metrics.items()),
        *((f"pruning.{name}", value) for name, value in pruning.items() if name not in ("sweep", "request")),
        *((f"training.{name}", value) for name, value in checkpoint.training.items()),
        ("fold", checkpoint.fold),
        *((f"referral.{name}", value) for name, value in (checkpoint.referral or {}).items()),
        ("epochs", len(checkpoint.log)),
        ("weights sha256", checkpoint.digest),
        *history_facts(checkpoint.history),
    ]


def onnx_facts(model: OnnxModel) -> list[tuple[str, Any]]:
    """What is in an ONNX file, by name."""
    return [
        ("kind", ONNX),
        ("task", model.task),
        ("size", model.size),
        ("outputs", model.output_names),
        ("classes", model.classes),
        ("threshold", model.threshold if model.classes else None),
        *((f"training.{name}", value) for name, value in (model.training or {}).items()),
        *((f"referral.{name}", value) for name, value in (model.referral or {}).items()),
        *((f"quantize.{name}", value) for name, value in entries(model.about.get("htl.quantize")).items()),
        ("checkpoint sha256", model.about.get("htl.model")),
        *history_facts(entries(model.about.get("htl.history"), list)),
    ]


def entries(text: str | None, kind: type = dict) -> Any:
    """JSON of the metadata; an empty one of its kind where it is none."""
    try:
        value = json.loads(text or "null")
    except ValueError:
        value = None
    return value if isinstance(value, kind) else kind()


def sparsity(weights: Mapping[str, np.ndarray]) -> float:
    """The share of zeros among the weights of convolutions and linear layers, which pruning cuts: arrays of two axes or more."""
    arrays = [array for array in weights.values() if array.ndim > 1]
    return 1 - sum(map(np.count_nonzero, arrays)) / max(sum(array.size for array in arrays), 1)


def history_facts(history: Sequence[Any]) -> list[tuple[str, str]]:
    """The commands that led to a model, the oldest first."""
    records = [record for record in history if isinstance(record, dict)]
    return [("history", f"{cell(record.get('time'))} {cell(record.get('command'))}".strip()) for record in records]


def text_of(value: Any) -> str:
    """A value as the cell of a table."""
    if isinstance(value, dict):
        return " ".join(f"{name}={cell(own)}" for name, own in value.items())
    return ", ".join(map(cell, value)) if isinstance(value, list) else cell(value)
