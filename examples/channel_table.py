#!/usr/bin/env python3
"""Structured pruning: size, FLOPs, latency and IoU of exported files, at several sparsities.

usage: channel_table.py DENSE.h5 ROWS OUT [SHARE...]
    htl prepare FOLDER -o store > rows.jsonl && htl train rows.jsonl -o dense.h5 > /dev/null
    examples/channel_table.py dense.h5 rows.jsonl OUT 0 0.3 0.5 0.7 0.9

Each share is cut by `htl prune --method channel` and recovered by its fine-tuning (share 0: fine-tuning alone), exported by
`htl export` and measured by `htl evaluate`, as processes of their own; files that exist in OUT are not made again. FLOPs count a
multiplication and an addition as two. Latency is that of the ONNX file in onnxruntime on the CPU, in milliseconds an image,
the median over alternating calls of all files, with OMP_NUM_THREADS threads where that is set. IoU is the mean; val monitors
recovery, and test is held out.
"""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # this checkout, installed or not
from htltools.commands.export.latency import latencies  # noqa: E402
from htltools.core.nets.state_arrays import from_weights  # noqa: E402
from htltools.formats.models.checkpoint import Checkpoint  # noqa: E402

SHARES = "0", "0.3", "0.5", "0.7", "0.9"
BATCHES = 1, 16
HEADINGS = "cut", "parameters", "MFLOPs", *(f"ms at {n}" for n in BATCHES), "val, cut", "val, recovered", "test"


def htl(*words: object) -> None:
    """Run a command of this checkout. Raises: CalledProcessError where it fails."""
    subprocess.run([ROOT / "bin" / "htl", *map(str, words)], stdout=subprocess.DEVNULL, check=True)


def made(dense: Path, rows: Path, out: Path, share: str) -> tuple[Path, Path, Path]:
    """The pruned checkpoint, the ONNX file and the metrics of the ONNX file for one share."""
    pruned, exported, metrics = (out / f"{share}{ending}" for ending in (".h5", ".onnx", ".jsonl"))
    if not pruned.exists():
        htl("prune", rows, "-q", "--model", dense, "--method", "channel", "--sparsity", share, "-o", pruned)
    if not exported.exists():
        htl("export", "-q", "--model", pruned, "-o", exported)
    if not metrics.exists():
        htl("evaluate", rows, "-q", "--model", exported, "--split", "test", "-o", metrics)
    return pruned, exported, metrics


def flops(checkpoint: Checkpoint) -> int:
    """Floating-point operations for one image."""
    model = from_weights(checkpoint.architecture, checkpoint.weights)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(torch.zeros(1, *checkpoint.preprocessing["size"], dtype=torch.uint8))
    return counter.get_total_flops()


def session(path: Path) -> onnxruntime.InferenceSession:
    """The file in onnxruntime, on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0))
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def milliseconds(files: list[Path], size: list[int]) -> np.ndarray:
    """Median latency of an image for each file and batch size: [files, batches]."""
    sessions, noise = [session(path) for path in files], np.random.default_rng(0)
    medians = []
    for count in BATCHES:
        batch = {"images": noise.integers(0, 256, (count, *size), np.uint8)}
        medians.append(np.median(latencies([partial(s.run, None, batch) for s in sessions]), 1) * 1000 / count)
    return np.array(medians).T


def main(dense: Path, rows: Path, out: Path, *shares: str) -> None:
    """Print the table."""
    out.mkdir(parents=True, exist_ok=True)
    shares = shares or SHARES
    pruned, exported, metrics = zip(*(made(dense, rows, out, share) for share in shares))
    checkpoints = [Checkpoint.load(path) for path in pruned]
    latency = milliseconds(exported, checkpoints[0].preprocessing["size"])
    print("\t".join(HEADINGS))
    for share, checkpoint, times, path in zip(shares, checkpoints, latency, metrics):
        about = checkpoint.pruning
        test = next(line["value"] for line in map(json.loads, path.open()) if line["metric"] == "iou_mean")
        ious = about["val_iou_before_recovery"], about["val_iou"], test
        cells = [share, f"{about['parameters']:,}", f"{flops(checkpoint) / 1e6:.1f}", *(f"{t:.3f}" for t in times)]
        print("\t".join([*cells, *(f"{value:.3f}" for value in ious)]))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__.split("\n\n")[1].splitlines()[0])
    main(*map(Path, sys.argv[1:4]), *sys.argv[4:])
