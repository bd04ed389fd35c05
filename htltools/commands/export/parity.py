"""What `export` does with a localizer: write it, hold the file against torch, and time both."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from htltools import console
from htltools.commands.export.latency import latencies
from htltools.commands.shared.inputs import CountedImages, annotation, is_annotated, matching_images, split_rows
from htltools.core.geometry.matching import object_difference
from htltools.core.nets.detector import Detector
from htltools.core.nets.mask_localizer import MaskLocalizer, MasksOf
from htltools.core.nets.onnx_wrapper import OnnxWrapper, eager
from htltools.core.runtime.predict import batches
from htltools.errors import DataError, HtlError, UsageError
from htltools.formats.models.onnx import MASKS, OBJECTS, OUTPUT, OnnxLocalizer, write_onnx
from htltools.formats.models.onnx_int8 import IMAGES, METHOD, write_int8
from htltools.formats.rows.jsonlines import compact_json

Answer = Callable[[np.ndarray], np.ndarray]  # uint8 [B, H, W, C] to float32 [B, 4]

BATCHES = 1, 2, 5
REAL = 64  # rows to check on, when there are rows
TOLERANCE = 1e-4  # shares of the image's sides
AT_ONCE = 64
BENCH = 1, 16


def write_as(kind: str, path: Path, localizer, size: list[int], calibration: Iterator[np.ndarray]) -> None:
    """Write a localizer as one ONNX file: kind `none` (float32), `float16`, or `int8`, which uses up the calibration images."""
    about = {name: compact_json(value).decode() for name, value in objects_metadata(localizer).items()}
    outputs = OBJECTS if about else MASKS if isinstance(localizer, MaskLocalizer) else [OUTPUT]
    if kind != "int8":
        write_onnx(path, OnnxWrapper(localizer, torch.float16 if kind == "float16" else torch.float32), size, about, outputs)
        return
    if about:
        raise UsageError("--quantize int8 is for nets with one box", "use float16 or none")
    with tempfile.TemporaryDirectory() as folder:
        precise = Path(folder, "float32.onnx")
        write_onnx(precise, OnnxWrapper(localizer), size, about, outputs)
        write_int8(path, precise, calibration)


def objects_metadata(localizer) -> dict[str, dict]:
    """What a file says of the objects that its net finds; nothing where it answers with one box."""
    if not isinstance(localizer, Detector):
        return {}
    return {"htl.objects": {"classes": localizer.classes, "threshold": round(float(localizer.threshold), 6)}}


def calibration_images(rows: list[dict], size: list[int], model: Path, seed: int) -> Iterator[np.ndarray]:
    """Images of some rows of the split train, drawn at random, in batches uint8 [B, H, W, C].

    Raises: DataError where there are none.
    """
    fitted = split_rows(rows, "train")
    if not fitted:
        raise DataError("no row is of the split train", "--quantize int8 is calibrated on those")
    drawn = np.random.default_rng(seed).permutation(len(fitted))[:IMAGES]
    images = matching_images([fitted[place] for place in drawn], size, model)
    return (images.batch(chosen) for chosen in batches(images.shape[0], AT_ONCE))


def checking_batches(rows: list[dict], size: list[int], model: Path, seed: int) -> tuple[list[np.ndarray], str]:
    """Noise in several batch sizes, and the images of the first rows where there are rows; and what that is, in words."""
    noise = np.random.default_rng(seed)
    found = [noise.integers(0, 256, (count, *size), np.uint8) for count in BATCHES]
    if not rows:
        return found, "noise"
    images = matching_images(rows[:REAL], size, model)
    return [*found, images.batch(np.arange(images.shape[0]))], f"noise and {images.shape[0]} images"


def largest_difference(ours: Answer, theirs: Answer, checks: list[np.ndarray]) -> float:
    """The largest difference of any edge, or score, between two localizers; NaN where one answers NaN."""
    return float(np.max([difference(ours(batch), theirs(batch)) for batch in checks]))


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference between two answers, [B, 4] or [B, D, 6]; objects are compared with the most similar of their class."""
    return object_difference(ours, theirs) if ours.ndim == 3 else float(np.abs(ours - theirs).max())


def agreement(kind: str, ours: Answer, theirs: Answer, checks: list[np.ndarray], what: str) -> str:
    """How far the file (theirs) is from torch (ours), in words.

    Raises: HtlError where that is too far: more than the rounding of float32, and for other kinds no number at all.
    """
    difference = largest_difference(ours, theirs, checks)
    if kind == "none" and not difference <= TOLERANCE:
        raise HtlError(f"the ONNX model differs from torch by {difference:.2g} of the image's sides, more than {TOLERANCE:g}")
    if not np.isfinite(difference):
        raise HtlError(f"the {kind} file answers with no number: the weights or activations overflow", "use --quantize none")
    unknown = "" if kind == "none" else "; its loss of IoU is not known, without annotated rows of the split val"
    return f"largest difference from torch {difference:.1e} of the image's sides, on {what}{unknown}"


def agreement_of_masks(kind: str, localizer, net: OnnxLocalizer, checks: list[np.ndarray]) -> str:
    """How far the masks of the file are from those of torch, in words; nothing where it answers with none.

    Raises: HtlError as `agreement`.
    """
    if not isinstance(localizer, MaskLocalizer):
        return ""
    ours = eager(MasksOf(localizer), torch.device("cpu"))
    difference = float(np.max([np.abs(ours(batch) - net.masks(batch)[1]).max() for batch in checks]))
    if kind == "none" and not difference <= TOLERANCE or not np.isfinite(difference):
        raise HtlError(f"the masks of the ONNX model differ from those of torch by {difference:.2g}, more than {TOLERANCE:g}")
    return f"; largest difference of masks {difference:.1e}"


def validation_rows(rows: list[dict]) -> list[dict]:
    """The annotated rows of the split val, repeats counted once."""
    return [row for row in split_rows(rows, "val") if is_annotated(row) and not row.get("repeat")]


def mean_ious(predictions: list[Answer], rows: list[dict], size: list[int], model: Path, localizer, architecture: dict) -> list[float]:
    """The mean IoU of each localizer and the annotation, on all the rows; of several objects their overlap."""
    targets = annotation(architecture, rows)
    with console.progress("measuring", len(rows) * len(predictions)) as steps:
        images = CountedImages(matching_images(rows, size, model), steps)
        places = batches(len(rows), AT_ONCE)
        found = [np.concatenate([answer(images.batch(i)) for i in places]) for answer in predictions]
    return [float(localizer.overlap(each, targets).mean()) for each in found]


def loss_of_iou(kind: str, theirs: float, ours: float, count: int, most: float) -> str:
    """What a quantized file loses of the mean IoU of float32 (ours), in words.

    Raises: HtlError where that is more than `most`.
    """
    found = f"mean IoU on {count} validation rows {theirs:.4f}, float32 {ours:.4f}"
    if not ours - theirs <= most:
        raise HtlError(f"{kind} loses too much: {found}, {ours - theirs:.2g} less", f"--max-loss {most:g} allows no more")
    return f"{found}: {theirs - ours:+.4f}"


def quantization(kind: str, measured: tuple[float, float, int] | None) -> dict:
    """What the file says of its quantization, see schema.ONNX; measured: its mean IoU, that of float32, and on how many rows."""
    calibration = {"calibration": f"{METHOD} over up to {IMAGES} rows of the split train"} if kind == "int8" else {}
    names = "iou_mean", "iou_mean_float32", "n"
    return {"kind": kind} | calibration | (dict(zip(names, measured, strict=True)) if measured else {})


def bench_lines(localizer, path: Path, device: str, place: torch.device, seed: int) -> Iterator[list[str]]:
    """Lines for a table of latencies: torch and onnxruntime by turns, with as many threads, host memory to host memory."""
    net = OnnxLocalizer(path, device, torch.get_num_threads())
    torch_predict, noise = eager(localizer, place), np.random.default_rng(seed)
    names = f"torch {torch.__version__} eager {place}", f"onnxruntime {net.provider}"
    for count in BENCH:
        batch = noise.integers(0, 256, (count, *net.size), np.uint8)
        seconds = latencies([lambda: torch_predict(batch), lambda: net.predict(batch)])  # noqa: B023  they are called at once
        medians, slow = np.median(seconds, 1), np.quantile(seconds, 0.9, 1)
        for name, median, late in zip(names, medians, slow):
            yield [f"{count}", name, f"{median * 1e3:.2f}", f"{late * 1e3:.2f}", f"{count / median:.0f}", f"{medians[0] / median:.2f}"]
