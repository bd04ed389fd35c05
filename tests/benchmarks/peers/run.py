"""What a user would pick instead: each tool trained from scratch on the same images for the same processor time, measured alike.

run.py DATA... --minutes M --seeds 0 1 2 -o results.jsonl     a line for each (data, tool, seed); runs that the file has are left out
run.py --table results.jsonl                                  the table
run.py DATA --quick                                           to see that it runs
"""

import argparse
import ast
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from measure import metrics
from rows import read
from scipy import stats

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

VENV = HERE / ".venv"
PEERS = "ultralytics==8.4.190", "ultralytics-thop", "monai==1.6.1", "scikit-image", "lazy-loader", "imageio", "tifffile"
PEERS_NEED = (
    "psutil",
    "requests",
    "charset_normalizer",
    "certifi",
    "idna",
    "urllib3",
    "polars",
    "polars-runtime-32",
    "opencv-python-headless",
)
TOOLS: dict[str, tuple[str, str, dict[str, str]]] = {  # name in the table, script, environment
    "yolo": ("Ultralytics YOLO26n", "yolo.py", {}),
    "faster_rcnn": ("torchvision Faster R-CNN, MobileNetV3-L 320", "faster_rcnn.py", {}),
    "unet": ("MONAI U-Net", "unet.py", {}),
    "htl-once": ("htl, one look (`--attend none`)", "htl.py", {"PEER_ATTEND": "none"}),
    "htl": ("htl, its default", "htl.py", {"PEER_ATTEND": "look"}),
}
INSTALLED = {"yolo", "unet"}  # need packages that only the peers' environment has
FIGURES = "iou_mean", "acc@0.75", "ap", "iou_p10"
HEADER = """| tool | seeds | mean IoU | Acc@.75 | AP | 10th percentile | ms an image | epochs | lines |
|---|---|---|---|---|---|---|---|---|"""
COMMANDS = 3  # of a user of htl: prepare, train, predict


def peers_python() -> Path:
    """The interpreter of the peers' environment, made at the first call on top of that of this one, whose torch it shares."""
    python = VENV / "bin" / "python"
    if not (VENV / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        site = next(path for path in map(Path, sys.path) if path.name == "site-packages")
        own = next((VENV / "lib").glob("python*/site-packages"))
        (own / "shared.pth").write_text(f"{site}\n")
        missing = [*PEERS, *(name for name in PEERS_NEED if not (site / name.replace("-", "_")).exists())]
        subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", *missing], check=True)
        (VENV / "ready").touch()
    return python


def prepared(data: Path, work: Path) -> tuple[Path, float]:
    """Rows of the data in the work folder, by `htl prepare` as it comes, and the seconds of the processor that took, once."""
    rows, took = work / f"{data.name}.jsonl", work / f"{data.name}.seconds"
    if not took.exists():
        before = os.times()
        words = [sys.executable, "-m", "htltools", "prepare", data.resolve(), "-o", work / data.name, "-j", "1", "-q"]
        with rows.open("w") as out:
            subprocess.run(list(map(str, words)), cwd=ROOT, stdout=out, check=True)
        after = os.times()
        took.write_text(str(after.children_user + after.children_system - before.children_user - before.children_system))
    return rows, float(took.read_text())


def once(data: Path, tool: str, seed: int, chosen: argparse.Namespace, work: Path, python: Path) -> dict[str, Any]:
    """Train one tool, and measure it: a line of the file."""
    rows, took = prepared(data, work)
    folder = work / f"{data.name}-{tool}-{seed}"
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    folder.mkdir()
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    quiet = {"YOLO_OFFLINE": "True", "YOLO_CONFIG_DIR": str(work), "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    words = [python, HERE / TOOLS[tool][1], rows, folder, "--seconds", chosen.minutes * 120, "--seed", seed]
    limit = ["--limit", chosen.limit] if chosen.limit else []
    with (folder / "log.txt").open("w") as log:
        environment = os.environ | threads | quiet | TOOLS[tool][2]
        subprocess.run(list(map(str, words + limit)), env=environment, stdout=log, stderr=log, check=True, start_new_session=True)
    told = json.loads((folder / "told.json").read_text())
    test = read(rows, chosen.limit)
    found = [np.array(json.loads(line)["objects"]).reshape(-1, 6) for line in (folder / "predicted.jsonl").read_text().splitlines()]
    return {
        "data": data.name,
        "tool": tool,
        "seed": seed,
        "minutes": chosen.minutes,
        "limit": chosen.limit,
        **{name: round(value, 4) for name, value in metrics(test, found).items()},
        **{name: round(value, 3) for name, value in told.items()},
    } | ({"prepare_cpu_s": round(took, 2)} if tool.startswith("htl") else {})


def code_lines(path: Path) -> int:
    """Lines of a script that hold code: neither blank, nor comment, nor docstring."""
    text = path.read_text()
    docs = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docs |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and number not in docs for number, line in lines)


def table(lines: list[dict[str, Any]]) -> str:
    """The runs as Markdown, for each data set: the mean over seeds, and the smallest and the largest; then what htl is ahead by."""
    parts = []
    for data, minutes in sorted({(line["data"], line["minutes"]) for line in lines}):
        own = [line for line in lines if (line["data"], line["minutes"]) == (data, minutes)]
        parts.append(f"**{data}**, {minutes:g} minutes of two cores\n")
        parts.append(HEADER)
        for tool, (name, script, _) in TOOLS.items():
            runs = [line for line in own if line["tool"] == tool]
            if runs:
                cells = [spread([run[key] for run in runs], 3) for key in FIGURES]
                speed, epochs = (spread([run[key] for run in runs], 1) for key in ("predict_cpu_ms", "epochs"))
                plain = [run["no_doubt_predict_cpu_ms"] for run in runs if "no_doubt_predict_cpu_ms" in run]
                speed += f", without doubt {spread(plain, 1)}" if plain else ""
                lines_of = f"{COMMANDS} commands" if script == "htl.py" else str(code_lines(HERE / script))
                parts.append(f"| {' | '.join([name, str(len(runs)), *cells, speed, epochs, lines_of])} |")
        parts += ["", *(ahead := gains(own)), *([""] if ahead else [])]
    return "\n".join(parts)


def gains(lines: list[dict[str, Any]]) -> list[str]:
    """A table of htl's default minus each other tool, with a 95 % t interval over the seeds that both have; none of fewer than three."""
    runs = {(line["tool"], line["seed"]): line for line in lines}
    rows = []
    for tool, (name, _, _) in TOOLS.items():
        seeds = [seed for other, seed in runs if other == tool and ("htl", seed) in runs]
        if tool != "htl" and len(seeds) > 2:
            rows.append(
                f"| {name} | {' | '.join(gain([runs['htl', seed][key] - runs[tool, seed][key] for seed in seeds]) for key in FIGURES)} |"
            )
    return ["| htl's default minus | mean IoU | Acc@.75 | AP | 10th percentile |", "|---|---|---|---|---|", *rows] if rows else []


def gain(values: list[float]) -> str:
    """The mean of differences, and its interval."""
    mean, half = statistics.fmean(values), stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"


def spread(values: list[float], digits: int) -> str:
    """The mean, and the range where there are several."""
    mean, *ends = (f"{value:.{digits}f}" for value in (statistics.fmean(values), min(values), max(values)))
    return mean if len(values) == 1 else f"{mean} ({ends[0]} to {ends[1]})"


def main() -> int:
    """Run what the file lacks: 1 where a run failed, and 0 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", type=Path, help="folders that htl prepare takes, with splits")
    parser.add_argument("--minutes", type=float, default=4, help="of training on two cores: twice as many minutes of one [4]")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="runs at a time, of one thread each [2]")
    parser.add_argument("--work", type=Path, help="folder of stores and models [a temporary one]")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE")
    parser.add_argument("--table", type=Path, metavar="FILE", help="only write the table of a file")
    parser.add_argument("--quick", action="store_true", help="few images and seconds: to see that it runs, not for figures")
    chosen = parser.parse_args()
    if chosen.table:
        print(table(list(map(json.loads, chosen.table.read_text().splitlines()))))
        return 0
    chosen.limit, chosen.minutes = (24, 0.05) if chosen.quick else (None, chosen.minutes)
    lines = list(map(json.loads, chosen.out.read_text().splitlines())) if chosen.out and chosen.out.exists() else []
    there = {(line["data"], line["tool"], line["seed"], line["minutes"]) for line in lines}
    wanted = [(data, tool, seed) for seed in chosen.seeds for data in chosen.data for tool in chosen.tools]
    todo = [each for each in wanted if (each[0].name, *each[1:], chosen.minutes) not in there]
    with tempfile.TemporaryDirectory() as made:
        work = (chosen.work or Path(made)).resolve()
        work.mkdir(exist_ok=True, parents=True)
        python = peers_python() if INSTALLED & {tool for _, tool, _ in todo} else Path(sys.executable)
        lock, failed = Lock(), []
        several_objects = {data for data in chosen.data if len(read(prepared(data, work)[0]).names) > 1}
        todo = [each for each in todo if not (each[0] in several_objects and each[1] == "htl-once")]  # such nets look once anyway

        def done(run: tuple[Path, str, int]) -> None:
            data, tool, seed = run
            print(f"{data.name} {tool} {seed} ...", file=sys.stderr, flush=True)
            try:
                line = once(data, tool, seed, chosen, work, python)
            except (subprocess.CalledProcessError, OSError, ValueError) as error:
                failed.append(run)
                print(f"{data.name} {tool} {seed} failed: {error}; see its log.txt in {work}", file=sys.stderr)
                return
            with lock:
                lines.append(line)
                if chosen.out:
                    with chosen.out.open("a") as out:
                        out.write(json.dumps(line) + "\n")

        with ThreadPoolExecutor(chosen.at_once) as several:
            list(several.map(done, todo))
    print(table(lines))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
