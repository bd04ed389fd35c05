"""htl as a user has it: `prepare`, `train` with as many epochs as the budget allows, `predict`. Trains and predicts as processes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from budget import Budget, cpu_seconds
from rows import Data, Sample
from tool import main

ROOT = Path(__file__).parents[3]
HTL = sys.executable, "-m", "htltools"
FEW = 1000  # images that the pace is measured on, where there are more
ATTEND = os.environ.get("PEER_ATTEND", "look")


def train_flags(data: Data) -> list[str]:
    """What the data asks for: a net for several objects, and no mirror images of left and right."""
    return ["--arch", "compact_fcos", "--flip", "none"] if len(data.names) > 1 else ["--attend", ATTEND]


def run(*words: object, lines: list[str] | None = None) -> None:
    """A command of htl to its end; what it says goes to stderr."""
    given = "\n".join(lines) if lines else None
    subprocess.run([*HTL, *map(str, words)], cwd=ROOT, input=given, text=True, stdout=subprocess.DEVNULL, check=True)


def used_by(process: int) -> float:
    """Seconds of the processor that a process has used so far (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured_pace(data: Data, rows: Path, flags: list[str], folder: Path) -> dict[str, float]:
    """Seconds of the processor that a training takes once (start, choice of the looks) and for each epoch.

    Of two epochs on every n-th image: all else but the start grows with their number.
    """
    share, out, ids = -(-len(data.train) // FEW), folder / "pace.h5", folder / "ids.txt"
    few = data.train[::share] + data.val[::share]
    ids.write_text("".join(f"{sample.id}\n" for sample in few))
    words = [*HTL, "train", rows, *flags, "--ids", ids, "--epochs", 2, "-o", out, "-q", "--force"]
    ends: list[float] = []
    begin = cpu_seconds()
    with subprocess.Popen([*map(str, words)], cwd=ROOT, stdout=subprocess.DEVNULL) as training:
        while training.poll() is None:
            time.sleep(0.02)
            log = out.with_name(f"{out.stem}.log.jsonl")
            if log.exists() and len(log.read_text().splitlines()) > len(ends):
                ends.append(used_by(training.pid))
    first, second = ends
    start, end = 2 * first - second, cpu_seconds() - begin - second
    more = len(data.train + data.val) / len(few)
    return {"epoch": more * (second - first), "once": start + more * end}


def train(data: Data, folder: Path, budget: Budget, seed: int, told: dict) -> Path:
    """`htl train`, with as many epochs as its measured pace allows; what was spent to measure it does not count."""
    rows, out, flags = Path(sys.argv[1]), folder / "model.h5", train_flags(data)
    kept = folder.parent / f"{folder.name.rpartition('-')[0]}.pace.json"  # of this data and tool, whatever the seed
    if not kept.exists():
        kept.write_text(json.dumps(measured_pace(data, rows, flags, folder)))
    pace = json.loads(kept.read_text())
    budget.start = cpu_seconds()
    told["epochs"] = max(int((budget.seconds - pace["once"]) / pace["epoch"]), 1)
    only = folder / "train-ids.txt"
    only.write_text("".join(f"{sample.id}\n" for sample in data.train + data.val))
    run("train", rows, *flags, "--ids", only, "--epochs", told["epochs"], "--seed", seed, "-o", out)
    return out


def predict(model: Path, samples: list[Sample], *flags: str) -> Iterator[np.ndarray]:
    """`htl predict` of files: batches of 256, its default, and its start."""
    results, files = model.with_name("results.json"), [str(sample.file) for sample in samples]
    run("predict", "-", "--model", model, "--coco-results", results, "--force", "-j", 1, *flags, lines=files)
    by_id: dict[str, list[list[float]]] = {}
    for each in json.loads(results.read_text()):
        x, y, width, height = each["bbox"]
        by_id.setdefault(each["image_id"], []).append([x, y, x + width, y + height, each["category_id"] - 1, each["score"]])
    yield from (np.array(by_id.get(sample.id, [])).reshape(-1, 6) for sample in samples)


if __name__ == "__main__":
    main(train, predict, lambda model, samples: predict(model, samples, "--doubt", "none"))
