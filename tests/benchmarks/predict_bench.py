"""`predict` of a folder with doubt, as a process, against what it cannot do without: `prepare`, and the passes of the net alone."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import show
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).parents[2]))  # this checkout, installed or not
from htltools.core.nets.factory import architecture, build
from htltools.core.nets.localizer import NORMALISATION
from htltools.core.nets.state_arrays import weights_of
from htltools.core.runtime.predict import predict_all
from htltools.core.runtime.runtime import Runtime
from htltools.formats.models.checkpoint import Checkpoint
from htltools.formats.rows.jsonlines import split_lines
from htltools.formats.rows.row import Row
from htltools.formats.store.shard import Images
from htltools.tasks.predictor import CheckpointPredictor

ROOT = Path(__file__).parents[2]
SIDE, FILES, DISTINCT = 96, 10_000, 50
PASSES = {"none": 1, "mirror": 3}  # by the kind of doubt
HTL = sys.executable, "-m", "htltools"


def made_folder(folder: Path, count: int) -> Path:
    """So many JPEG files of 600 x 450, smooth with a little noise as photographs are; DISTINCT of them differ, the others are links."""
    noise = np.random.default_rng(0)
    (folder / "images").mkdir()
    for place in range(count):
        path = folder / "images" / f"{place:06d}.jpg"
        if place < DISTINCT:
            coarse = Image.fromarray(noise.integers(0, 256, (9, 12, 3), np.uint8)).resize((600, 450), Image.Resampling.BICUBIC)
            grain = np.asarray(coarse, np.int16) + noise.integers(-8, 9, (450, 600, 3))
            Image.fromarray(grain.clip(0, 255).astype(np.uint8)).filter(ImageFilter.SMOOTH).save(path, quality=90)
        else:
            path.hardlink_to(folder / "images" / f"{place % DISTINCT:06d}.jpg")
    return folder / "images"


def made_model(folder: Path, name: str) -> Path:
    """A model with fresh weights, as speed does not depend on them."""
    torch.manual_seed(0)
    shape, size = architecture(name, [SIDE, SIDE, 3]), [SIDE, SIDE, 3]
    path = folder / f"{name}.h5"
    Checkpoint(weights_of(build(shape)), shape, {"size": size, **NORMALISATION}, training={"flip": [0.5, 0.5]}).save(path)
    return path


def seconds_of(*words: object) -> float:
    """Wall seconds of a command of htl."""
    start = time.perf_counter()
    subprocess.run([*HTL, *map(str, words), "-q"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def rows(quick: bool = False) -> list[dict[str, Any]]:
    """Images a second: a row for each net and kind of doubt."""
    count, repeats = (100, 1) if quick else (FILES, 3)
    table = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = made_folder(folder, count)
        prepare = *HTL, "prepare", images, "-o", folder / "kept", "--size", str(SIDE), "-q"
        prepared = subprocess.run(prepare, cwd=ROOT, capture_output=True, check=True).stdout
        stored = Images([Row(row) for row in split_lines(prepared) if "id" in row])
        for net in ("compact", "compact_unet"):
            model = made_model(folder, net)
            localizer = CheckpointPredictor(model, Runtime("cpu")).localizer
            for doubt, passes in PASSES.items():
                table.append(compared(folder, images, stored, model, localizer, doubt, passes, repeats))
    return table


def compared(folder: Path, images: Path, stored: Images, model: Path, localizer, doubt: str, passes: int, repeats: int) -> dict[str, Any]:
    """One row: predict, and prepare and the passes, by turns."""
    turns = []
    for turn in range(repeats):
        ours = seconds_of("predict", images, "--model", model, "--doubt", doubt, "--csv", folder / "boxes.csv", "--force")
        store = folder / f"{model.stem}-{doubt}-{turn}"
        theirs = seconds_of("prepare", images, "-o", store, "--size", SIDE)
        start = time.perf_counter()
        for _ in range(passes):
            predict_all([localizer], stored, Runtime("cpu"))
        turns.append((ours, theirs + time.perf_counter() - start))
    count = stored.shape[0]
    ratios = sorted(theirs / ours for ours, theirs in turns)
    ours, theirs = (sorted(column)[len(turns) // 2] for column in zip(*turns))
    return {
        "what": f"predict {count:,} JPEG of 600x450, {model.stem} {SIDE} px, doubt {doubt}",
        "peer": f"prepare, and {passes} bare pass{'es' if passes > 1 else ''}",
        "ours": count / ours,
        "theirs": count / theirs,
        "unit": "images/s",
        "ratio": ratios[len(ratios) // 2],
        "low": ratios[0],
        "high": ratios[-1],
    }


if __name__ == "__main__":
    show(rows("--quick" in sys.argv))
