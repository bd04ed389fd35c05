"""ONNX files in onnxruntime beside torch eager, and beside float32, on this CPU: fresh weights, as speed does not depend on them."""

import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from measuring import alternating, show

sys.path.insert(0, str(Path(__file__).parents[2]))  # this checkout, installed or not
from htltools.commands.export.parity import torch_outputs
from htltools.commands.export.write import Export, wrapped, write_as
from htltools.core.nets.factory import architecture, build
from htltools.core.nets.localizer import NORMALISATION
from htltools.core.nets.state_arrays import weights_of
from htltools.core.runtime.runtime import Runtime
from htltools.formats.models.checkpoint import Checkpoint
from htltools.tasks.onnx_predictor import OnnxPredictor
from htltools.tasks.predictor import CheckpointPredictor

NETS = ("compact", 96), ("compact_unet", 96), ("compact", 128), ("resnet18", 128)
REPEATS = 30
CALLS = {1: 8, 16: 3}  # in a row, by batch size: the first still shares the cores with the waiting threads of the other side


def rows(quick: bool = False) -> list[dict]:
    """Milliseconds of a batch: a row for each net, batch size and kind of file."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name, side in NETS[:2] if quick else NETS:
            lines += rows_of(name, side, Path(folder), 3 if quick else REPEATS)
    return lines


def rows_of(name: str, side: int, folder: Path, repeats: int) -> list[dict]:
    """The rows of one net."""
    torch.manual_seed(0)
    size = [side, side, 3]
    shape = architecture(name, size)
    Checkpoint(weights_of(build(shape)), shape, {"size": size, **NORMALISATION}, training={"flip": [0.5, 0.5]}).save(folder / "m.h5")
    dense, noise = CheckpointPredictor(folder / "m.h5", Runtime("cpu")), np.random.default_rng(0)
    nets = {}
    for kind in ("none", "float16", "int8", "doubt"):
        asked = Export("none" if kind == "doubt" else kind, 1.0, False, "cpu", 0, (), doubt="mirror" if kind == "doubt" else "none")
        drawn = iter([noise.integers(0, 256, (16, *size), np.uint8)])
        write_as(asked.kind, folder / f"{kind}.onnx", dense, wrapped(dense, asked), drawn)
        nets[kind] = OnnxPredictor(folder / f"{kind}.onnx", Runtime("cpu"), torch.get_num_threads()).outputs_of
    pairs = [
        ("float32", nets["none"], "torch eager", torch_outputs(dense.localizer, torch.device("cpu"), ["boxes"])),
        ("float16", nets["float16"], "float32 file", nets["none"]),
        ("int8", nets["int8"], "float32 file", nets["none"]),
        ("with doubt", nets["doubt"], "float32 file", nets["none"]),
    ]
    return [compared(f"{name} {side} px", count, *pair, size, repeats) for count in CALLS for pair in pairs]


def compared(net: str, count: int, ours_name: str, ours, peer: str, theirs, size: list[int], repeats: int) -> dict:
    """One row: a batch through both sides, by turns."""
    batch = np.random.default_rng(1).integers(0, 256, (count, *size), np.uint8)
    sides = [partial(in_a_row, predict, batch, CALLS[count]) for predict in (ours, theirs)]
    for side in sides:
        side()
    mine, others, *ratio = alternating(sides[0], sides[1], repeats)
    figures = mine * 1e3 / CALLS[count], others * 1e3 / CALLS[count], *ratio
    row = {"what": f"{net}, batch {count}, {ours_name}", "peer": peer, "unit": "ms"}
    return row | dict(zip(("ours", "theirs", "ratio", "low", "high"), figures, strict=True))


def in_a_row(predict, batch: np.ndarray, calls: int) -> None:
    """Some calls of a localizer."""
    for _ in range(calls):
        predict(batch)


if __name__ == "__main__":
    show(rows("--quick" in sys.argv))
