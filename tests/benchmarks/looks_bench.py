"""Looking again beside one look: with the same net, and with a first look by a copy without most of its channels. Fresh weights."""

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import alternating, show

sys.path.insert(0, str(Path(__file__).parents[2]))  # this checkout, installed or not
from htltools.commands.export.parity import torch_outputs
from htltools.commands.export.write import Export, wrapped, write_as
from htltools.core.nets.factory import architecture, build
from htltools.core.nets.localizer import NORMALISATION
from htltools.core.nets.state_arrays import weights_of
from htltools.core.pruning.structured import prune_channels
from htltools.core.runtime.runtime import Runtime
from htltools.formats.models.checkpoint import Checkpoint
from htltools.tasks.onnx_predictor import OnnxPredictor
from htltools.tasks.predictor import CheckpointPredictor

SIDE, CUT = 96, 0.7  # share of the weights that the copy loses, by whole channels
TWICE = {"count": 2, "window": 1.4, "average": False}
NETS = "compact", "compact_unet"
CALLS = {1: 8, 16: 3}  # in a row, by batch size


def rows(quick: bool = False) -> list[dict[str, Any]]:
    """Milliseconds of a batch: a row for each net, batch size, runtime and way to look. A ratio of .5 says: twice the time of one look."""
    with tempfile.TemporaryDirectory() as folder:
        return [line for name in NETS for line in rows_of(name, Path(folder), 3 if quick else 30)]


def rows_of(name: str, folder: Path, repeats: int) -> list[dict[str, Any]]:
    """The rows of one net."""
    torch.manual_seed(0)
    size = [SIDE, SIDE, 3]
    shape = architecture(name, size)
    net = build(shape).eval()
    made = {"one look": net}
    for words, glance in {"two looks": None, f"a first look without {CUT:.0%} of the weights": prune_channels(net, CUT, size).net}.items():
        twice = build(shape | {"looks": TWICE} | ({"glance": True} if glance else {})).eval()
        if glance:
            twice.glance = glance
        made[words] = twice
    sides: dict[str, dict[str, Any]] = {"torch eager": {}, "onnxruntime": {}}
    for place, (words, model) in enumerate(made.items()):
        about = (
            shape | ({"looks": {"count": 2, "window": 1.4, "average": False}} if place else {}) | ({"glance": True} if place == 2 else {})
        )
        path = folder / f"{name}{place}.h5"
        Checkpoint(weights_of(model), about, {"size": size, **NORMALISATION}).save(path)
        dense = CheckpointPredictor(path, Runtime("cpu"))
        write_as("none", path.with_suffix(".onnx"), dense, wrapped(dense, Export("none", 1.0, False, "cpu", 0, ())), iter(()))
        sides["onnxruntime"][words] = OnnxPredictor(path.with_suffix(".onnx"), Runtime("cpu"), torch.get_num_threads()).outputs_of
        sides["torch eager"][words] = torch_outputs(dense.localizer, torch.device("cpu"), ["boxes"])
    return [
        compared(f"{name} {SIDE} px, batch {count}, {runtime}, {words}", count, looks[words], looks["one look"], repeats)
        for runtime, looks in sides.items()
        for count in CALLS
        for words in list(made)[1:]
    ]


def compared(what: str, count: int, ours: Any, theirs: Any, repeats: int) -> dict[str, Any]:
    """One row: a batch through both sides, by turns."""
    batch = np.random.default_rng(1).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
    turns = [partial(in_a_row, predict, batch, CALLS[count]) for predict in (ours, theirs)]
    for turn in turns:
        turn()
    mine, others, *ratio = alternating(turns[0], turns[1], repeats)
    row = {"what": what, "peer": "one look", "unit": "ms", "ours": mine * 1e3 / CALLS[count], "theirs": others * 1e3 / CALLS[count]}
    return row | dict(zip(("ratio", "low", "high"), ratio, strict=True))


def in_a_row(predict: Any, batch: np.ndarray, calls: int) -> None:
    """Some calls of a localizer."""
    for _ in range(calls):
        predict(batch)


if __name__ == "__main__":
    show(rows("--quick" in sys.argv))
