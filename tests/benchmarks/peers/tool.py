"""Runs one tool as a process of its own: trains it within its budget, predicts for the test images, writes both as JSON."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from budget import Budget, cpu_seconds
from rows import Data, Sample, read

TIMED = 300  # images that a time is measured on, at least, where there are as many
Objects = np.ndarray  # [n, 6]: the edges in pixels of the image, the class, the score
Train = Callable[[Data, Path, Budget, int, dict[str, Any]], Any]
Predict = Callable[[Any, list[Sample]], Iterator[Objects]]


def timed(predict: Predict, model: Any, samples: list[Sample]) -> tuple[list[Objects], dict[str, float]]:
    """What it predicts for these images, and its milliseconds, of the processor and by the clock."""
    start, clock = cpu_seconds(), time.time()
    found = list(predict(model, samples))
    return found, {"predict_cpu_ms": 1000 * (cpu_seconds() - start), "predict_ms": 1000 * (time.time() - clock)}


def main(train: Train, predict: Predict, without_doubt: Predict | None = None) -> None:
    """Parse the command line that run.py writes, and do it. `train` puts what it has to tell (epochs, choice) into a dict.

    without_doubt: predictions as the peers make them, of a tool that also says which to doubt; only timed.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--limit", type=int)
    given = parser.parse_args()
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(given.seed)
    told: dict[str, Any] = {}
    data = read(given.rows, given.limit)
    budget, clock = Budget(given.seconds), time.time()
    model = train(data, given.folder, budget, given.seed, told)
    told |= {"train_cpu_s": budget.spent, "train_s": time.time() - clock}
    many = data.test if len(data.test) >= TIMED else data.test + data.train + data.val
    list(predict(model, data.test[:2]))  # the first call allocates
    found: list[Objects] = []
    for prefix, how in {"": predict, "no_doubt_": without_doubt}.items():
        if how:
            (_, few), (those, whole) = (timed(how, model, samples) for samples in (data.test[:2], many))
            found = found or those[: len(data.test)]
            told |= {prefix + name: (whole[name] - few[name]) / (len(many) - 2) for name in few}  # the start of a call does not count
    (given.folder / "told.json").write_text(json.dumps(told))
    lines = (
        json.dumps({"id": sample.id, "objects": np.round(objects, 4).tolist()}) for sample, objects in zip(data.test, found, strict=True)
    )
    (given.folder / "predicted.jsonl").write_text("\n".join(lines) + "\n")
    print({name: round(value, 3) if isinstance(value, float) else value for name, value in told.items()}, file=sys.stderr)
