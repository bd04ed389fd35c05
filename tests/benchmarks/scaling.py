"""Cost against work: time and memory of every command at 1, 10 and 100 times as many samples, as a table and a plot.

Each command runs as a process of its own, on files, with images of 32 x 32; all samples are really prepared, phantoms and JPEG files
alike (hard links to a few files of 300x225). Memory is sampled from /proc every 20 ms (Linux only), and summed over the process and
all it starts: `own` is what the processes hold for themselves, `mapped` what they see of files, libraries and stores, which the
system takes back when it needs it; what several processes share counts for each of them.
"""

import argparse
import csv
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from measuring import figure
from prepare_bench import saved

ROOT = Path(__file__).resolve().parents[2]
FACTORS = 1, 10, 100
STEPS = {  # what runs, and the file that takes its stdout
    "(start) htl --version": ("--version", "version"),
    "prepare --phantom": ("prepare --phantom {count} --size 32 -o phantoms", "rows"),
    "prepare JPEG files": ("prepare photos --size 32 -o store", "photos.rows"),
    "train, 1 epoch": ("train rows -o dense.h5 --epochs 1", "trained"),
    "prune": ("prune rows --model dense.h5 -o pruned.h5 --recover none --sparsity 0.8", "pruned"),
    "score": ("score rows --model dense.h5 --pruned pruned.h5", "scored"),
    "resample": ("resample scored", "weighted"),
    "evaluate": ("evaluate rows --model dense.h5", "metrics"),
    "export": ("export rows --model dense.h5 -o dense.onnx", "exported"),
    "view": ("view scored --sort pruned_disagreement", "sorted"),
}


def measured(base: int, names: list[str]) -> Iterator[dict]:
    """Seconds and peak MiB of each step at each scale: {what, count, seconds, own, mapped}."""
    for factor in FACTORS:
        count = base * factor
        with tempfile.TemporaryDirectory(prefix="htl-scaling-") as folder:
            photographs(Path(folder, "photos"), count)
            for name in names:
                line, target = STEPS[name]
                cost = cost_of(line.format(count=count).split(), Path(folder), target)
                print(f"{count} samples, {name}: {cost['seconds']:.2f} s", file=sys.stderr)
                yield {"what": name, "count": count} | cost


def photographs(folder: Path, count: int, different: int = 24) -> None:
    """A folder of so many JPEG files with a table of boxes; only the first few take room."""
    (folder / "images").mkdir(parents=True)
    originals = saved(folder, (300, 225), different)
    with (folder / "metadata.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image_id", "lesion_id", "x0", "y0", "x1", "y1", "age", "sex"])
        for i in range(count):
            os.link(originals[i % different], folder / "images" / f"{i:07d}.jpg")
            table.writerow([f"{i:07d}", f"L{i // 2}", 60, 45, 210, 160, 20 + i % 60, "male" if i % 3 else "female"])


def cost_of(arguments: list[str], folder: Path, target: str) -> dict[str, float]:
    """Wall seconds and peak memory of one call of htl."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HTL_QUIET": "1", "HTL_DEVICE": "cpu"}
    peak, ended = {"own": 0.0, "mapped": 0.0}, threading.Event()
    with (folder / target).open("wb") as out:
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "htltools", *arguments], cwd=folder, env=environment, stdout=out)
        watch = threading.Thread(target=watched, args=(process.pid, peak, ended))
        watch.start()
        code = process.wait()
        seconds = time.perf_counter() - start
        ended.set()
        watch.join()
    if code:
        sys.exit(f"htl {' '.join(arguments)} ended with {code}")
    return {"seconds": seconds} | peak


def watched(pid: int, peak: dict[str, float], ended: threading.Event) -> None:
    """Note the peak of what a process and its descendants hold, until it has ended: what two looks in a row have seen.

    A child that is about to run another program seems to hold all that its parent does, for a moment.
    """
    before = memory_of(pid)
    while not ended.wait(0.02):
        now = memory_of(pid)
        for kind in peak:
            peak[kind] = max(peak[kind], min(before[kind], now[kind]))
        before = now


def memory_of(pid: int) -> dict[str, float]:
    """MiB that a process and its descendants hold now, by counters: to walk their pages would take a core of its own."""
    total = {"own": 0.0, "mapped": 0.0}
    for each in family(pid):
        try:
            lines = Path(f"/proc/{each}/status").read_text().splitlines()
        except OSError:
            continue  # it has just ended
        kilobytes = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines) if name.startswith("Rss")}
        total["own"] += (kilobytes.get("RssAnon", 0) + kilobytes.get("RssShmem", 0)) / 1024
        total["mapped"] += kilobytes.get("RssFile", 0) / 1024
    return total


def family(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            descendants = [int(child) for child in children.read_text().split()]
        except OSError:
            continue
        for child in descendants:
            yield from family(child)


def table(costs: list[dict]) -> str:
    """The costs as a Markdown table, a line for each command.

    `exponent` is that of time between 10 and 100 times the samples, with the start-up in it; `beyond` is the same of what the time
    grew by, so that a start-up hides nothing: 1 = linear; left out where ten times the samples took hardly longer than one time.
    """
    counts = sorted({cost["count"] for cost in costs})
    header = [
        "",
        *(f"{count:,}, s" for count in counts),
        "ms/sample",
        "exponent",
        "beyond",
        *(f"{count:,}, MiB own+mapped" for count in counts),
    ]
    lines = [header, ["---"] + ["---:"] * (len(header) - 1)]
    for name in dict.fromkeys(cost["what"] for cost in costs):
        of = [cost for cost in costs if cost["what"] == name]
        memory = [f"{cost['own']:,.0f}+{cost['mapped']:,.0f}" for cost in of]
        lines.append([name, *(figure(cost["seconds"]) for cost in of), *growth(counts, [cost["seconds"] for cost in of]), *memory])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def growth(counts: list[int], seconds: list[float]) -> list[str]:
    """Milliseconds of a further sample, and the two exponents."""
    few, many = seconds[1] - seconds[0], seconds[2] - seconds[1]
    each = figure(1000 * many / (counts[2] - counts[1])) if many > 0 else "-"
    beyond = f"{math.log10(many / few):.2f}" if few > max(0.1, 0.2 * seconds[0]) and many > 0 else "-"
    return [each, f"{math.log10(seconds[2] / seconds[1]):.2f}", beyond]


def plot(costs: list[dict], path: Path) -> None:
    """Draw time and own memory against the number of samples."""
    try:
        import matplotlib
    except ImportError:
        sys.exit("no plot without matplotlib: pip install -e '.[bench]'")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawing, (left, right) = pyplot.subplots(1, 2, figsize=(12, 5), layout="constrained")
    for name in dict.fromkeys(cost["what"] for cost in costs):
        of = [cost for cost in costs if cost["what"] == name]
        counts = [cost["count"] for cost in of]
        left.loglog(counts, [cost["seconds"] for cost in of], "o-", label=name)
        right.loglog(counts, [cost["own"] for cost in of], "o-", label=name)
    counts = sorted({cost["count"] for cost in costs})
    top = max(cost["seconds"] for cost in costs)
    left.loglog(counts, [top * count / counts[-1] for count in counts], ":", color="grey", label="linear")
    left.set(xlabel="samples", ylabel="seconds, wall", title="Time")
    right.set(xlabel="samples", ylabel="MiB, own pages of all processes", title="Peak memory")
    for axes in left, right:
        axes.grid(alpha=0.3)
    drawing.legend(*left.get_legend_handles_labels(), loc="outside right center")
    drawing.savefig(path, dpi=120)


def main() -> None:
    """Measure, print the table, and draw."""
    parser = argparse.ArgumentParser(description="Time and memory of each htl command at 1, 10 and 100 times as many samples.")
    parser.add_argument("png", nargs="?", type=Path, help="where to draw the plot")
    parser.add_argument("--base", type=int, default=200, help="samples at 1x [200]")
    parser.add_argument("--quick", action="store_true", help="a base of 50")
    chosen = parser.parse_args()
    costs = list(measured(50 if chosen.quick else chosen.base, list(STEPS)))
    print(table(costs))
    if chosen.png:
        plot(costs, chosen.png)


if __name__ == "__main__":
    main()
