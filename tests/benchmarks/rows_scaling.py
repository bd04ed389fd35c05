"""Time and memory against the number of rows, 10^4 to 10^6, of every command that takes rows; 10^7 by extrapolation.

The rows are synthetic and scored, two to a group, and name 512 images of 32 x 32 again and again: what grows is rows. Those of `report`
hold predicted boxes as well. Commands that run a net take `--most-images` rows at most; what `prepare` costs with its images, `scaling.py`
measures. Memory is sampled as in `scaling.py`: own pages, which the system cannot take back. Time is that
of the processor: on a machine that others use as well, the clock on the wall says more about them.
"""

import argparse
import json
import random
import re
import resource
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from measuring import figure
from scaling import cost_of

COLUMNS = "pruned_disagreement", "pruned_shift", "pruned_loss", "iou_drop", "loss_gap", "suspect", "loss", "el2n", "smallness", "random"
SIDE = 32
ENOUGH = 100_000  # rows
LIMITED = {("view --to parquet", "own")}  # by the engine, to 1 GB
STEPS = {  # what runs on rows alone, and the file that takes its stdout
    "view --sort": ("view rows --sort pruned_loss", "sorted"),
    "view --sort --limit 24": ("view rows --sort pruned_loss --limit 24", "hardest"),
    "view --where": ("view rows --where age>=60 --where sex=female", "chosen"),
    "view --summary": ("view rows --summary", "summary"),
    "view --to parquet": ("view rows --to parquet:rows.parquet", "nothing"),
    "view --sort, Parquet": ("view rows.parquet --sort pruned_loss", "sorted"),
    "view --sort --limit 24, Parquet": ("view rows.parquet --sort pruned_loss --limit 24", "hardest"),
    "resample": ("resample rows --boost 1", "weighted"),
    "evaluate --hard": ("evaluate rows --hard pruned_loss --split val --group-by sex", "odds"),
}
WITH_IMAGES = {
    "train, 1 epoch": ("train rows -o dense.h5 --arch compact --attend none --epochs 1 --batch-size 256 --force", "trained"),
    "prune": ("prune rows --model dense.h5 -o pruned.h5 --recover none --sparsity 0.5 --force", "pruned"),
    "score": ("score rows --model dense.h5 --pruned pruned.h5", "scored"),
    "predict": ("predict rows --model dense.h5 --doubt none --part 1/1", "predicted"),
    "join": ("join predicted", "joined"),
    "evaluate": ("evaluate rows --model dense.h5 --split val", "metrics"),
    "look": ("look rows --model dense.h5 -o looks.h5 --looks 2 --look-window 1.5 --force", "looked"),
    "export --card": ("export rows --model dense.h5 -o dense.onnx --card card.md --force", "nothing"),
    "report": ("report predictions -o page.html --split val --large 0 --force", "nothing"),
}


def written_store(folder: Path) -> list[str]:
    """A shard of 512 images of noise: its path, once for each image."""
    from htltools.formats.store.shard import SHARD_SAMPLES, write_shard

    path = folder / "00000.h5"
    noise = np.random.default_rng(0).integers(0, 256, (SHARD_SAMPLES, SIDE, SIDE, 3), np.uint8)
    rows = [{"id": str(i), "index": i, "size": [SIDE, SIDE]} for i in range(SHARD_SAMPLES)]
    write_shard(path, noise, None, rows, [], plan="by hand", history=[])
    return [str(path)] * SHARD_SAMPLES


def write_rows(path: Path, count: int, stores: list[str], *, predicted: bool = False) -> None:
    """A file of so many scored rows, 70 % of them in split train, 15 % in val and test each; with `predicted` boxes of two models."""
    draw = random.Random(0)

    def box() -> list[int]:
        x, y = draw.randrange(12), draw.randrange(12)
        return [x, y, x + 4 + draw.randrange(12), y + 4 + draw.randrange(12)]

    with path.open("w") as file:
        for i in range(count):
            place = i // 2 % 20
            row = {
                "id": f"ISIC_{i:08d}",
                "group": f"HAM_{i // 2:08d}",
                "split": "train" if place < 14 else "val" if place < 17 else "test",
                "store": stores[i % len(stores)],
                "index": i % len(stores),
                "size": [SIDE, SIDE],
                "boxes": [box()],
                "label": draw.choice(("nv", "mel", "bkl")),
                "meta": {"age": draw.randrange(20, 85), "sex": draw.choice(("male", "female")), "site": draw.choice(("trunk", "face"))},
                "hardness": {name: round(draw.random(), 6) for name in COLUMNS},
            } | ({"predicted": {"dense": box(), "pruned": box()}} if predicted else {})
            file.write(json.dumps(row, separators=(",", ":")) + "\n")


def measured(counts: list[int], most_images: int, names: list[str], known: set[tuple[str, int]]) -> Iterator[dict]:
    """Seconds, those of the processor and peak MiB of each step at each count. known: steps and counts that need no more.

    A file that a later step reads is made all the same; a model of the first rows alone.
    """
    for count in counts:
        steps = STEPS | (WITH_IMAGES if count <= most_images else {})
        needed = {what for what in steps if what in names and (what, count) not in known}
        with tempfile.TemporaryDirectory(prefix="htl-rows-") as name:
            folder = Path(name)
            stores = written_store(folder)
            write_rows(folder / "rows", count, stores)
            if "report" in needed:
                write_rows(folder / "predictions", count, stores, predicted=True)
            for what, (line, target) in steps.items():
                if what not in needed | read_later(steps, needed):
                    continue
                first = [] if what in needed or not what.startswith("train") else ["--limit", "1000"]
                before = processor_seconds()
                cost = cost_of([*line.split(), *first], folder, target) | {"cpu": round(processor_seconds() - before, 3)}
                print(f"{count} rows, {what}: {cost['cpu']:.1f} s, {cost['own']:.0f} MiB", file=sys.stderr, flush=True)
                if what in needed:
                    yield {"what": what, "count": count} | cost


def read_later(steps: dict[str, tuple[str, str]], needed: set[str]) -> set[str]:
    """The steps that write a file which one of those needed reads, or one that is in turn needed for it."""
    found, files = set[str](), set[str]()
    for what, (line, target) in reversed(steps.items()):
        written = {target, *re.findall(r"(?:-o |parquet:)(\S+)", line)}
        if written & files:
            found.add(what)
        if what in needed or written & files:
            files |= set(line.split()) - written
    return found


def processor_seconds() -> float:
    """Seconds of the processor that the processes which this one started, and which have ended, have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def extrapolated(what: str, kind: str, points: list[tuple[int, float]], count: int) -> float | None:
    """The value at a larger count, on the straight line through the last two points: an extrapolation, and no measurement.

    None unless both are of ENOUGH rows: up to 20,000 are kept in memory, and more are not. Nor is there one for the memory of a step that
    goes to disk from a limit on.
    """
    if (what, kind) in LIMITED or len(points) < 2 or points[-2][0] < ENOUGH:
        return None
    (few, low), (many, high) = points[-2:]
    return max(high + (high - low) * (count - many) / (many - few), high)


def table(costs: list[dict], beyond: int) -> str:
    """The costs as a Markdown table."""
    counts = sorted({cost["count"] for cost in costs})
    heads = [*(f"{count:,}" for count in counts), f"{beyond:,}, extrapolated"]
    lines = [["", *(f"{head}, s" for head in heads), *(f"{head}, MiB" for head in heads)]]
    lines.append(["---"] + ["---:"] * (len(lines[0]) - 1))
    for name in dict.fromkeys(cost["what"] for cost in costs):
        cells = [name]
        for kind in "cpu", "own":
            points = [(cost["count"], cost[kind]) for cost in costs if cost["what"] == name]
            known = dict(points)
            cells += [figure(known[count]) if count in known else "-" for count in counts]
            cells.append("-" if (value := extrapolated(name, kind, points, beyond)) is None else figure(value))
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def plot(costs: list[dict], beyond: int, path: Path) -> None:
    """Draw time and own memory against the number of rows; what is extrapolated is dotted."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawing, axes = pyplot.subplots(1, 2, figsize=(13, 5.5), layout="constrained")
    for i, name in enumerate(dict.fromkeys(cost["what"] for cost in costs)):
        look = {"color": f"C{i % 10}", "marker": "os^"[i // 10]}
        for axis, kind in zip(axes, ("cpu", "own"), strict=True):
            points = [(cost["count"], cost[kind]) for cost in costs if cost["what"] == name]
            axis.loglog(*zip(*points, strict=True), label=name, **look)
            if (value := extrapolated(name, kind, points, beyond)) is not None:
                axis.loglog([points[-1][0], beyond], [points[-1][1], value], ":", color=look["color"])
    for axis, title, unit in zip(
        axes, ("Time", "Peak memory"), ("seconds of the processor", "MiB, own pages of all processes"), strict=True
    ):
        axis.set(xlabel="rows", ylabel=unit, title=f"{title}; dotted: extrapolated")
        axis.grid(alpha=0.3)
    drawing.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    drawing.savefig(path, dpi=80)


def main() -> None:
    """Measure, print the table, and draw."""
    parser = argparse.ArgumentParser(description="Time and memory of each htl command against the number of rows.")
    parser.add_argument("png", nargs="?", type=Path, help="where to draw the plot")
    parser.add_argument("--counts", default="1000,10000,100000,1000000", help="numbers of rows, with commas in between")
    parser.add_argument("--most-images", type=int, default=100_000, help="rows up to which commands run that need a net [100000]")
    parser.add_argument("--beyond", type=int, default=10_000_000, help="rows to extrapolate to")
    parser.add_argument("--only", help="steps, with semicolons in between [all]")
    parser.add_argument("--costs", type=Path, help="JSON Lines: what is there is not measured again, what is measured is added")
    chosen = parser.parse_args()
    counts = [int(count) for count in chosen.counts.split(",")]
    assert all(few < many for few, many in pairwise(counts))
    names = chosen.only.split(";") if chosen.only else [*STEPS, *WITH_IMAGES]
    costs = [json.loads(line) for line in chosen.costs.read_text().splitlines()] if chosen.costs and chosen.costs.exists() else []
    for cost in measured(counts, chosen.most_images, names, {(cost["what"], cost["count"]) for cost in costs}):
        costs.append(cost)
        if chosen.costs:
            with chosen.costs.open("a") as file:
                file.write(json.dumps(cost) + "\n")
    costs.sort(key=lambda cost: cost["count"])  # whatever the order in which they were measured
    print(table(costs, chosen.beyond))
    if chosen.png:
        plot(costs, chosen.beyond, chosen.png)


if __name__ == "__main__":
    main()
