"""What needs a GPU, step by step within a limit of time, as one JSON: see run.sh."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DEVICE, LIMIT = os.environ.get("DEVICE", "cuda"), float(os.environ.get("LIMIT", "600"))
ON_CPU = DEVICE == "cpu"
SEEDS = range(1 if ON_CPU else 3)
COUNT, EPOCHS = (60, 1) if ON_CPU else (1200, 12)  # phantoms, and passes over them
TRAIN = "--epochs", EPOCHS, "--batch-size", 16 if ON_CPU else 64
LEAST = 20  # seconds without which no step begins
BEGUN = time.monotonic()


def left() -> float:
    """Seconds of the limit that are left."""
    return LIMIT - (time.monotonic() - BEGUN)


def htl(*words: Any, device: str = DEVICE) -> str:
    """What a command of htl writes to stdout.

    Raises: RuntimeError with the end of its messages; TimeoutExpired at the limit.
    """
    flags = ["--device", device] if words[0] in ("train", "prune", "score", "evaluate") else []
    command = [sys.executable, "-m", "htltools", *map(str, words), *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=max(left(), 1), env=os.environ | {"NO_COLOR": "1"})
    if done.returncode:
        raise RuntimeError(f"htl {words[0]}: exit {done.returncode}: {done.stderr.strip()[-600:]}")
    return done.stdout


def mean_iou(rows: Path, model: Path, device: str = DEVICE) -> float:
    """Mean IoU of a model on the test split."""
    lines = map(json.loads, htl("evaluate", rows, "--model", model, "-q", device=device).splitlines())
    return next(line["value"] for line in lines if line["metric"] == "iou_mean" and line["subgroup"] is None)


def log(model: Path) -> list[dict[str, Any]]:
    """The epochs of a training."""
    return [json.loads(line) for line in model.with_suffix("").with_suffix(".log.jsonl").read_text().splitlines()]


def trained(rows: Path, model: Path, *flags: Any, device: str = DEVICE) -> dict[str, Any]:
    """Train a model: its test IoU, all seconds, and those of an epoch after the first, in the median."""
    start = time.monotonic()
    htl("train", rows, "-o", model, "--force", "--no-resume", "-q", *TRAIN, *flags, device=device)
    seconds = time.monotonic() - start
    epochs = sorted(line["seconds"] for line in log(model)[1:] if "seconds" in line)
    return {
        "iou_mean": mean_iou(rows, model, device),
        "seconds": round(seconds, 2),
        "epoch_seconds": epochs[len(epochs) // 2] if epochs else None,
    }


def environment(folder: Path) -> dict[str, Any]:
    """Versions, and the GPU."""
    import torch

    about = {"device": DEVICE, "torch": torch.__version__, "cuda": torch.version.cuda, "python": sys.version.split()[0]}
    if torch.cuda.is_available():
        about |= {"gpu": torch.cuda.get_device_name(), "bf16": torch.cuda.is_bf16_supported()}
    elif not ON_CPU:
        raise RuntimeError("torch sees no CUDA device")
    return about


def run_tests(*chosen: str, seconds: float) -> dict[str, Any]:
    """Run tests that are not slow, in several processes where pytest-xdist is there, and not longer than these seconds.

    Raises: RuntimeError with the names of those that failed, also where the time was too short for all.
    """
    spread = ["-n", str(min(os.cpu_count() or 1, 12))] if find_spec("xdist") else []
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-m", "not slow", *spread, *chosen]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=max(min(left(), seconds), 1))
        out, code = done.stdout, done.returncode
        last = out.strip().splitlines()[-1] if out.strip() else done.stderr[-600:]
    except subprocess.TimeoutExpired as error:
        out, code, last = (error.stdout or b"").decode(errors="replace"), 1, f"stopped after {error.timeout:.0f} s"
    failed = sorted(set(re.findall(r"(?:FAILED|ERROR) (tests/\S+)", out)))
    if code not in (0, 5):
        raise RuntimeError(f"{last}; {out.count(' PASSED')} passed; failed: {' '.join(failed)}")
    return {"summary": last}


def cuda_tests(folder: Path) -> dict[str, Any]:
    """The tests that need CUDA, and those of the rooms that compute."""
    rooms = ["tests/formats/models/test_onnx.py", "tests/commands/test_export.py", "tests/core/runtime", "tests/core/training"]
    return run_tests(*(["-k", "cuda"] if ON_CPU else []), *rooms, seconds=180)


def suite(folder: Path) -> dict[str, Any]:
    """All tests that are not slow: on a machine with a GPU every command chooses it. Some fail for want of other packages."""
    return run_tests(*(["-k", "cuda"] if ON_CPU else []), "tests", seconds=300)


def chain(folder: Path) -> dict[str, Any]:
    """The phantom chain here and on the CPU: both should learn the same, within what seeds differ by."""
    figures = {}
    for device in dict.fromkeys((DEVICE, "cpu")):
        dense, pruned, start = folder / f"{device}.h5", folder / f"{device}-pruned.h5", time.monotonic()
        figures[device] = trained(folder / "rows.jsonl", dense, device=device)
        htl(
            "prune", folder / "rows.jsonl", "--model", dense, "-o", pruned, "--force", "--sparsity", 0.5, "--epochs", 1, "-q", device=device
        )
        scored = htl("score", folder / "rows.jsonl", "--model", dense, "--pruned", pruned, "-q", device=device)
        hardness = [
            row["hardness"]["pruned_loss"] for row in map(json.loads, scored.splitlines()) if "pruned_loss" in row.get("hardness", {})
        ]
        figures[device] |= {"scored": len(hardness), "chain_seconds": round(time.monotonic() - start, 2)}
    return figures


def feed(folder: Path) -> list[dict[str, Any]]:
    """An epoch against as many steps on one batch that lies in place."""
    sys.path[:0] = [str(ROOT / "tests" / "benchmarks")]
    import train_bench

    return train_bench.step_rows(folder, 1 if ON_CPU else 5, DEVICE)


def precision(folder: Path) -> dict[str, Any]:
    """bf16 against fp32, seed by seed."""
    return {
        kind: [trained(folder / "rows.jsonl", folder / f"{kind}.h5", "--precision", kind, "--seed", seed) for seed in SEEDS]
        for kind in ("fp32", "bf16")
    }


def compiled(folder: Path) -> dict[str, Any]:
    """--compile against eager."""
    return {
        "eager": trained(folder / "rows.jsonl", folder / "e.h5"),
        "compiled": trained(folder / "rows.jsonl", folder / "c.h5", "--compile"),
    }


def one_process(folder: Path) -> dict[str, Any]:
    """`--nproc-per-node 1`, which goes through torchrun and, on a GPU, nccl: the same model as without."""
    plain, launched = (
        trained(folder / "rows.jsonl", folder / f"n{name}.h5", *flags) for name, flags in (("0", ()), ("1", ("--nproc-per-node", 1)))
    )
    return {"plain": plain, "nproc 1": launched, "difference": launched["iou_mean"] - plain["iou_mean"]}


def onnx(folder: Path) -> dict[str, Any]:
    """The ONNX file of a model on the device of that name."""
    if not (folder / f"{DEVICE}.h5").exists():  # of the step chain
        trained(folder / "rows.jsonl", folder / f"{DEVICE}.h5")
    lines = htl("export", "--model", folder / f"{DEVICE}.h5", "-o", folder / "m.onnx", "--bench", "--device", DEVICE, "--force", "-q")
    heads, *rows = [line.split("\t") for line in lines.splitlines()]
    return {"latency": [dict(zip(heads, row)) for row in rows], "iou_mean": mean_iou(folder / "rows.jsonl", folder / "m.onnx")}


def evidence(folder: Path) -> dict[str, Any]:
    """Nets of the product and a larger one on real images, as long as there is time: looking once and again."""
    rows, figures = Path(sys.argv[2]).resolve(), {}
    epochs = "--epochs", 1 if ON_CPU else 30
    for name, flags in {
        "boxes, one look": ("--targets", "boxes", "--attend", "none"),
        "boxes, looks": ("--targets", "boxes"),
        "masks, looks": ("--targets", "masks"),
        "resnet50, one look": ("--arch", "resnet50", "--attend", "none"),
        "resnet50, looks": ("--arch", "resnet50", "--attend", "look"),
    }.items():
        if left() < LEAST:
            figures[name] = "left out: no time"
            continue
        try:
            figures[name] = trained(rows, folder / "real.h5", *flags, *epochs)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            figures[name] = f"failed: {error}"
    return figures


STEPS: tuple[Callable[[Path], Any], ...] = environment, cuda_tests, chain, feed, precision, compiled, one_process, onnx, suite, evidence


def main() -> int:
    """Run the steps, and write what they found after each: 1 where one failed."""
    out, found, failed = Path(sys.argv[1]), {}, False
    names = os.environ.get("STEPS", "").split()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepared = htl("prepare", "--phantom", COUNT, "-o", folder / "store", "--size", 32 if ON_CPU else 64, "-q")
        (folder / "rows.jsonl").write_text(prepared)
        for step in [step for step in STEPS if not names or step.__name__ in names]:
            start = time.monotonic()
            if left() < LEAST or (step is evidence and len(sys.argv) < 3):
                found[step.__name__] = {"left_out": "no rows were given" if left() >= LEAST else "no time"}
            else:
                try:
                    found[step.__name__] = {"found": step(folder), "seconds": round(time.monotonic() - start, 1)}
                except Exception as error:  # whatever it is, the other steps go on
                    failed = True
                    found[step.__name__] = {"failed": f"{type(error).__name__}: {error}", "seconds": round(time.monotonic() - start, 1)}
            out.write_text(json.dumps(found, indent=1) + "\n")
            print(f"{step.__name__}: {json.dumps(found[step.__name__])[:200]}", file=sys.stderr, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
