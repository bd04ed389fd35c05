"""One experiment in a folder of its own: commands of htl called in this process, and a line of JSON for each model."""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

EPOCHS, COUNT = int(os.environ.get("EPOCHS", "10")), int(os.environ.get("COUNT", "1200"))
ELSEWHERE = os.environ.get("ELSEWHERE")  # rows of another data set
DEVICE = os.environ.get("DEVICE", "auto")


class Lab:
    """One setting, protocol and seed: a folder, the lines that it still has to write, and how to run a command there."""

    def __init__(self, rows: Path, runs: Path, work: Path, setting: str, protocol: str, seed: int):
        self.runs, self.about = runs, {"setting": setting, "protocol": protocol, "seed": seed}
        self.folder, self.seed, self.source = work / f"{setting}-{protocol}-{seed}".replace("%", ""), seed, rows
        self.folder.mkdir(parents=True, exist_ok=True)
        self.done = {line["arm"] for line in read_runs(runs) if all(line[name] == value for name, value in self.about.items())}

    def path(self, name: str) -> Path:
        """A file of this folder."""
        return self.folder / name

    def htl(self, *words: object, out: str | None = None) -> None:
        """Run a command of htl in this process, its rows to a file of this folder.

        Raises: RuntimeError with what it said.
        """
        from htltools.cli import main

        said = io.StringIO()
        with (
            open(self.path(out) if out else os.devnull, "w") as stdout,
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(said),
        ):
            sys.argv = ["htl", *map(str, words), "-q"]  # what the history of an output tells
            code = main(sys.argv[1:])
        if code:
            raise RuntimeError(f"htl {' '.join(map(str, words))}: {said.getvalue().strip()}")

    def made(self, name: str, *words: object) -> str:
        """Rows that a command makes, unless they are there."""
        if not self.path(name).exists():
            self.htl(*words, out=f"{name}.part")
            self.path(f"{name}.part").rename(self.path(name))
        return name

    def trained(self, model: str, rows: str, *flags: object, epochs: int = EPOCHS) -> Path:
        """A model trained on rows of this folder, unless it is there. The rows that come out lie beside it."""
        if not self.path(model).exists():
            words = "-o", self.path(model), "--epochs", epochs, "--seed", self.seed, "--device", DEVICE, *flags
            self.htl("train", self.path(rows), *words, out=f"{model}.jsonl")
        return self.path(model)

    def pruned(self, model: str, rows: str, dense: Path, *flags: object) -> Path:
        """A pruned copy, unless it is there."""
        if not self.path(model).exists():
            words = "--model", dense, "-o", self.path(model), "--sparsity", 0.9, "--seed", self.seed, "--device", DEVICE, *flags
            self.htl("prune", self.path(rows), *words)
        return self.path(model)

    def tell(self, arm: str, model: Path, rows: str, **more: object) -> None:
        """Measure a model on val and test, and on the test split of another data set where there is one, and append its line."""
        places = {"val": self.path(rows), "test": self.path(rows)} | ({"elsewhere": Path(ELSEWHERE)} if ELSEWHERE else {})
        figures = {place: measured(model, source, "val" if place == "val" else "test") for place, source in places.items()}
        self.write(arm, **figures, **more)

    def write(self, arm: str, **figures: object) -> None:
        """Append a line: one write, so that processes do not mix theirs."""
        with open(self.runs, "ab", buffering=0) as file:
            file.write(json.dumps(self.about | {"arm": arm} | figures).encode() + b"\n")
        self.done.add(arm)


def measured(model: Path, rows: Path, split: str) -> dict[str, float]:
    """The metrics of `htl evaluate`, without its intervals: of a whole split, and under rare. and others. where rows are marked so."""
    import numpy as np

    from htltools.commands.evaluate.command import annotated_rows
    from htltools.commands.evaluate.measure import predicted_boxes
    from htltools.commands.shared.inputs import target_boxes
    from htltools.commands.shared.machine import Machine
    from htltools.core.geometry.boxes import iou
    from htltools.core.statistics.iou_metrics import metric_values

    samples, _ = annotated_rows(read_rows(rows), split)
    reached = iou(predicted_boxes(model, samples, Machine(DEVICE, "auto", 256)), target_boxes(samples))
    marks = np.array([row["meta"].get("rare") for row in samples])
    parts = {"": np.ones(len(samples), bool), "rare.": marks == "yes", "others.": marks == "no"}
    return {
        prefix + name: float(value[0])
        for prefix, part in parts.items()
        if part.any()
        for name, value in metric_values(reached[part]).items()
    }


def read_runs(path: Path) -> list[dict]:
    """The lines so far."""
    return [json.loads(line) for line in path.open()] if path.exists() else []


def read_rows(path: Path) -> list[dict]:
    """The rows of a file."""
    return [row for row in map(json.loads, path.open()) if "id" in row]


def write_rows(path: Path, rows: list[dict]) -> None:
    """Rows without notes, which is a valid stream."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
