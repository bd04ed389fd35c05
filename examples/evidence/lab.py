"""One experiment in a folder of its own: commands of htl, run in this process, and a line of JSON for each model."""

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
REGRESSOR = "--arch", "compact"
KEPT = "iou_mean", "iou_p10", "acc@0.75", "failure_rate"  # metrics that the tables have
PREFIXES = {None: "", "yes": "rare.", "no": "others."}  # of metrics, by the mark of a subgroup


class Lab:
    """One setting, protocol and seed: its folder, the arms that are done, and commands that write there."""

    def __init__(self, rows: Path, runs: Path, work: Path, setting: str, protocol: str, seed: int):
        self.runs, self.about = runs, {"setting": setting, "protocol": protocol, "seed": seed}
        self.folder, self.seed, self.source = work / f"{setting}-{protocol}-{seed}".replace("%", ""), seed, rows
        self.folder.mkdir(parents=True, exist_ok=True)
        self.done = {line["arm"] for line in read_runs(runs) if all(line[name] == value for name, value in self.about.items())}

    def path(self, name: str) -> Path:
        """A file of this folder."""
        return self.folder / name

    def htl(self, *words: object, out: str | None = None) -> None:
        """Run a command of htl in this process; its stdout goes to a file of this folder.

        Raises: RuntimeError with its messages.
        """
        from htltools.cli import main

        messages = io.StringIO()
        with (
            open(self.path(out) if out else os.devnull, "w") as stdout,
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(messages),
        ):
            sys.argv = ["htl", *map(str, words), "-q"]  # the command line in the history of an output
            code = main(sys.argv[1:])
        if code:
            raise RuntimeError(f"htl {' '.join(map(str, words))}: {messages.getvalue().strip()}")

    def made(self, name: str, *words: object) -> str:
        """Rows that a command writes, unless they exist."""
        if not self.path(name).exists():
            self.htl(*words, out=f"{name}.part")
            self.path(f"{name}.part").rename(self.path(name))
        return name

    def plain(self, model: str, rows: str, *flags: object, epochs: int = EPOCHS) -> Path:
        """As `trained`, of the regressor without looks, as weights and pruned branches were tried on it."""
        return self.trained(model, rows, *REGRESSOR, *(() if "--attend" in flags else ("--attend", "none")), *flags, epochs=epochs)

    def trained(self, model: str, rows: str, *flags: object, epochs: int = EPOCHS) -> Path:
        """A model trained on rows of this folder, unless it exists. The rows that the training writes are beside it."""
        if not self.path(model).exists():
            words = "-o", self.path(model), "--epochs", epochs, "--seed", self.seed, "--device", DEVICE, *flags
            self.htl("train", self.path(rows), *words, out=f"{model}.jsonl")
        return self.path(model)

    def pruned(self, model: str, rows: str, dense: Path, *flags: object) -> Path:
        """A pruned copy, unless it exists."""
        if not self.path(model).exists():
            words = "--model", dense, "-o", self.path(model), "--sparsity", 0.9, "--seed", self.seed, "--device", DEVICE, *flags
            self.htl("prune", self.path(rows), *words)
        return self.path(model)

    def measure(self, arm: str, model: Path, rows: str, elsewhere: str | None = ELSEWHERE, **more: object) -> None:
        """Measure a model on val and test, and on the test split of another data set where there is one, and append its line."""
        figures = {split: self.metrics(model, self.path(rows), split) for split in ("val", "test")}
        if elsewhere:
            figures["elsewhere"] = self.metrics(model, Path(elsewhere), "test")
        self.write(arm, **figures, **more)

    def metrics(self, model: Path, rows: Path, split: str) -> dict[str, float]:
        """The metrics that are KEPT; where rows are marked, also those of the rare and of the other samples, with a prefix."""
        is_marked = any("rare" in row.get("meta", {}) for row in read_rows(rows))
        flags = "--split", split, "--device", DEVICE, *(("--group-by", "rare") if is_marked else ())
        self.htl("evaluate", rows, "--model", model, *flags, out="metrics.jsonl")
        lines = [
            line for line in map(json.loads, self.path("metrics.jsonl").open()) if "by" not in line and line["metric"] in KEPT
        ]  # without gaps
        marks = [(line["subgroup"] or {}).get("rare") for line in lines]
        return {PREFIXES[mark] + line["metric"]: line["value"] for mark, line in zip(marks, lines) if mark in PREFIXES}

    def write(self, arm: str, **figures: object) -> None:
        """Append a line in one write, so that lines of several processes are not mixed."""
        with open(self.runs, "ab", buffering=0) as file:
            file.write(json.dumps(self.about | {"arm": arm} | figures | {"device": device_name()}).encode() + b"\n")
        self.done.add(arm)


def device_name() -> str:
    """What the models were trained on: the name of the GPU, or cpu."""
    import torch

    return "cpu" if DEVICE == "cpu" or not torch.cuda.is_available() else torch.cuda.get_device_name()


def read_runs(path: Path) -> list[dict]:
    """The lines so far."""
    return [json.loads(line) for line in path.open()] if path.exists() else []


def read_rows(path: Path) -> list[dict]:
    """The rows of a file."""
    return [row for row in map(json.loads, path.open()) if "id" in row]


def write_rows(path: Path, rows: list[dict]) -> None:
    """Rows without notes, which is a valid stream."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
