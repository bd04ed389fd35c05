"""Where the time of a training epoch goes.

epoch_profile.py [CHECKOUT] [--arch compact_unet --looks --size 96], so that two states of the code can be held side by side. Seconds are
those of the processor, so that other work on the machine counts less.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, next((word for word in sys.argv[1:] if Path(word).is_dir()), str(Path(__file__).parents[2])))
from htltools.core.nets.factory import architecture, build
from htltools.core.runtime.image_sources import ImagesInMemory
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.adaptive_weighting import Attention
from htltools.core.training.choose_looks import choose_looks
from htltools.core.training.loop import State, trained
from htltools.core.training.objectives.box import BoxObjective
from htltools.core.training.schedule import Recipe
from htltools.formats.rows.row import Row
from htltools.formats.store.shard import Images, write_shard

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("checkout", nargs="?", type=Path, help="whose code is timed [this one]")
parser.add_argument("--arch", default="compact", help="[compact]")
parser.add_argument("--looks", action="store_true", help="enlarged crops in training, and the choice of looks at its end")
parser.add_argument("--size", type=int, default=128, help="of images [128]")
ASKED = parser.parse_args(None if __name__ == "__main__" else [])
SIDE, COUNT, BATCH, EPOCHS = ASKED.size, 1024, 32, 4
HELD_OUT = COUNT // 6  # validation images, the share that HAM10000 has
KINDS = {  # parts of an operator's name; the first that fits counts
    "convolution": ("conv", "mkldnn"),
    "batch norm": ("batch_norm",),
    "pooling": ("pool",),
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
        build(architecture(ASKED.arch, (SIDE, SIDE, 3))).net(torch.zeros(BATCH, 3, SIDE, SIDE)).sum().backward()
    return counter.get_total_flops()


def main() -> None:
    """Print the share of each kind of work in the steps of an epoch, what is outside operators, and what validation costs beside them."""
    shape, runtime = architecture(ASKED.arch, (SIDE, SIDE, 3)), Runtime(precision="fp32", batch_size=BATCH)
    boxes, weights = np.tile(np.float32([0.2, 0.2, 0.7, 0.7]), (COUNT, 1)), np.ones(COUNT, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        stored = images_of(Path(folder))
        held_out = ImagesInMemory(stored.batch(np.arange(HELD_OUT))), boxes[:HELD_OUT]
        recipe = Recipe(EPOCHS + 1, BATCH)
        attention = Attention("look") if ASKED.looks else None

        def epochs(validation: tuple[ImagesInMemory, np.ndarray] | None) -> Iterator[State]:
            """A training, epoch by epoch, the first one done."""
            objective = BoxObjective(build(shape), stored, boxes, weights, recipe, runtime, attention=attention)
            training = trained(objective, validation, recipe, runtime, measures_loss=True)
            next(training)
            return training

        bare, validated = epochs(None), epochs(held_out)
        seconds, with_validation = [], []
        for _ in range(EPOCHS - 1):  # by turns
            seconds.append(timed(lambda: next(bare)))
            with_validation.append(timed(lambda: next(validated)))
        with profile(activities=[ProfilerActivity.CPU]) as record:
            profiled = timed(lambda: next(bare))
        choosing = timed(lambda: choose_looks(build(shape), *held_out, runtime)) if ASKED.looks else 0.0
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
    shares = np.divide(with_validation, seconds) - 1
    print(f"validation of {HELD_OUT}: {np.median(shares):.1%} of an epoch's steps ({shares.min():.1%} to {shares.max():.1%})")
    if choosing:
        print(f"choice of looks, once: {choosing / epoch:.1%} of an epoch's steps")


def timed(work: Callable[[], object]) -> float:
    """The seconds of the processor that something takes, for each thread."""
    start = time.process_time()
    work()
    return (time.process_time() - start) / torch.get_num_threads()


if __name__ == "__main__":
    main()
