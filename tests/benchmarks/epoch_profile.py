"""Where the time of a training epoch goes: epoch_profile.py [CHECKOUT], so that two states of the code can be held side by side."""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).parents[2]))
from htltools.core.nets.factory import architecture, build
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.box_objective import BoxObjective
from htltools.core.training.loop import trained
from htltools.core.training.schedule import Recipe
from htltools.formats.rows.row import Row
from htltools.formats.store.shard import Images, write_shard

SIDE, COUNT, BATCH, EPOCHS = 128, 1024, 32, 5
KINDS = {  # parts of an operator's name; the first that fits counts
    "convolution": ("conv", "mkldnn"),
    "batch norm": ("batch_norm",),
    "augmentation and normalisation": ("grid_sample", "addcmul", "stack", "cat", "affine_grid", "bmm"),
    "copies and conversions": ("copy_", "clone", "to_copy"),
    "optimizer": ("adamw", "optimizer"),
}


def images_of(folder: Path) -> Images:
    """Stored random images in two shards."""
    images = np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE, 3), np.uint8)
    half, rows = COUNT // 2, []
    for k in range(2):
        path = folder / f"{k:05d}.h5"
        write_shard(path, images[k * half : (k + 1) * half], None, [], [], plan="", history=[])
        rows += [Row(id=f"{k}-{i}", store=str(path), index=i) for i in range(half)]
    return Images(rows)


def kind_of(name: str) -> str:
    """The kind of work that an operator does."""
    return next((kind for kind, parts in KINDS.items() if any(part in name.lower() for part in parts)), "other operators")


def peak() -> float:
    """FLOP/s of a large matrix product in float32, the best of some."""
    a = torch.randn(2048, 2048)
    seconds = []
    for _ in range(8):
        start = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(seconds)


def flops_of_a_step() -> int:
    """FLOPs of the convolutions and matrix products of a step, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        build(architecture("compact", (SIDE, SIDE, 3))).net(torch.zeros(BATCH, 3, SIDE, SIDE)).sum().backward()
    return counter.get_total_flops()


def main() -> None:
    """Print the share of each kind of work in an epoch, the share outside operators, and that of the machine's peak."""
    shape, runtime = architecture("compact", (SIDE, SIDE, 3)), Runtime(precision="fp32", batch_size=BATCH)
    boxes, weights = np.tile(np.float32([0.2, 0.2, 0.7, 0.7]), (COUNT, 1)), np.ones(COUNT, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        stored = images_of(Path(folder))
        recipe = Recipe(EPOCHS + 1, BATCH)
        training = trained(BoxObjective(build(shape), stored, boxes, weights, recipe, runtime), None, recipe, runtime)
        next(training)
        seconds = []
        for _ in range(EPOCHS - 1):
            start = time.perf_counter()
            next(training)
            seconds.append(time.perf_counter() - start)
        with profile(activities=[ProfilerActivity.CPU]) as record:
            start = time.perf_counter()
            next(training)
            profiled = time.perf_counter() - start
    seconds_of: dict[str, float] = {}
    for event in record.key_averages():
        kind = kind_of(event.key)
        seconds_of[kind] = seconds_of.get(kind, 0) + event.self_cpu_time_total / 1e6
    for kind, spent in sorted(seconds_of.items(), key=lambda item: -item[1]):
        print(f"{spent / profiled:6.1%}  {kind}")
    print(f"{max(1 - sum(seconds_of.values()) / profiled, 0):6.1%}  outside operators")
    epoch = float(np.median(seconds))
    reached = flops_of_a_step() * (COUNT // BATCH) / epoch
    print(f"{COUNT / epoch:.0f} samples/s ({COUNT / max(seconds):.0f} to {COUNT / min(seconds):.0f}), {torch.get_num_threads()} threads")
    print(f"{reached / 1e9:.0f} GFLOP/s in convolutions and matrix products, {reached / peak():.0%} of a large matrix product's")


if __name__ == "__main__":
    main()
