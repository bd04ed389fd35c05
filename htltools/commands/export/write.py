"""`export` from a model to a checked ONNX file."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from htltools import console
from htltools.commands.export.card import planned_card, write_model_card
from htltools.commands.export.latency import latencies
from htltools.commands.export.parity import REAL, agreement, checking_batches, inside_agreement, iou_loss_text, mean_ious, torch_outputs
from htltools.commands.shared.models import model_path
from htltools.core.geometry.mirroring import allowed_mirrors
from htltools.core.nets.onnx_wrapper import OnnxWrapper
from htltools.core.runtime.batches import batches
from htltools.core.runtime.device import chosen_device
from htltools.core.runtime.runtime import Runtime
from htltools.errors import DataError, UsageError
from htltools.formats.files.atomic import replacing
from htltools.formats.models.onnx import write_metadata, write_onnx
from htltools.formats.models.onnx_int8 import IMAGES, METHOD, write_int8
from htltools.formats.rows.jsonlines import compact_json
from htltools.formats.rows.provenance import Run, file_digest
from htltools.formats.rows.row import Row
from htltools.formats.rows.spooled import rows_at, rows_where
from htltools.formats.rows.vocabulary import ONNX
from htltools.formats.sources.open_rows import read_many_rows
from htltools.tasks.doubt import missing_reason
from htltools.tasks.onnx_predictor import OnnxPredictor
from htltools.tasks.predictor import CheckpointPredictor
from htltools.tasks.rows import matching_images, of_split
from htltools.tasks.task import Task

AT_ONCE = 64
COLUMNS = {"mirror": "mirror_disagreement", "look": "look_disagreement"}  # of doubt, by the word of --doubt
ANY_SIZE = "images: uint8 [N, h, w, 3], RGB, of any height and width, all of a batch of one; the whole image is squashed to htl.frame"
BENCH = 1, 16
HEADINGS = "batch", "engine", "median ms", "p90 ms", "images/s", "ratio"


@dataclass(frozen=True)
class Export:
    """What is asked for: the kind of arithmetic (none = float32), and the loss of mean IoU that it may cost.

    any_size: whether images are squashed inside the file. doubt: what it predicts its doubt by: mirror, look or none.
    """

    kind: str
    max_loss: float
    bench: bool
    device: str
    seed: int
    trusted: tuple[str, ...]
    any_size: bool = False
    doubt: str = "none"


def write_export(run: Run, source: Path | None, model: Path | None, out: Path, asked: Export, card: Path | None, *, partial: bool) -> None:
    """Write the ONNX file of a model, unless it does not predict as torch does; say how far it is from that, and time it if asked."""
    samples: Sequence[Row] = []
    if source is not None or model is None:
        enough = REAL if asked.kind == "none" and not card else None  # the check on images takes no more
        samples, reader = read_many_rows(source, partial=partial, limit=enough)
        model = model_path(model, reader, "dense")
    place = chosen_device(asked.device) if asked.bench else None
    runtime = Runtime("cpu", batch_size=AT_ONCE, seed=asked.seed, trusted=asked.trusted)
    dense = CheckpointPredictor(model, runtime)
    console.explain(str(dense))
    planned = planned_card(card, samples, dense) if card else None
    wrapper = wrapped(dense, asked)
    held_out = validation_rows(samples, dense.task) if asked.kind != "none" else []
    calibration: Iterator[np.ndarray] = iter(())
    if asked.kind == "int8":
        if "int8" not in dense.task.supports:
            raise UsageError(f"--quantize int8 is not for models of the task {dense.task.name}", "use float16 or none")
        calibration = calibration_images(samples, dense, asked.seed)
        if not held_out:
            raise DataError("no row of the split val is annotated", "the loss of --quantize int8 is measured on those")
    with replacing(out) as temporary:
        write_as(asked.kind, temporary, dense, wrapper, calibration)
        file = OnnxPredictor(temporary, runtime)
        measured: dict[str, Any] = {}
        if held_out:
            ours, theirs = mean_ious(dense, file, held_out)
            sentence = iou_loss_text(asked.kind, theirs, ours, len(held_out), asked.max_loss)
            measured = {"iou_mean": theirs, "iou_mean_float32": ours, "n": len(held_out)}
        else:
            checks, what = checking_batches(samples, dense, asked.seed)
            outputs = torch_outputs(dense.localizer, torch.device("cpu"), list(file.outputs))
            sentence = agreement(asked.kind, dense.task, outputs, file.outputs_of, checks, what)
        if asked.any_size or wrapper.doubt:
            sentence += inside_agreement(wrapper, file, checking_batches(samples, dense, asked.seed)[0], asked.kind)
        digest = file_digest(model)
        history = run.chain(dense.checkpoint.history, {str(model): digest})
        about = metadata(dense, asked.kind, measured, history) | more_metadata(dense, wrapper) | {"htl.model": digest}
        write_metadata(temporary, about)
    console.say(f"{out}, {out.stat().st_size / 1e6:.2f} MB: {sentence}")
    if planned:
        read = "stdin" if source is None or str(source) == "-" else source.name
        console.say(write_model_card(planned, out, dense, read, history, asked.seed))
    if place is not None:
        console.show_table(HEADINGS, bench_lines(dense, out, asked.device, place, asked.seed))


def wrapped(dense: CheckpointPredictor, asked: Export) -> OnnxWrapper:
    """The model in the form that goes into the file.

    Raises: UsageError for a doubt that the model does not have.
    """
    if asked.doubt != "none" and (reason := missing_reason(dense, COLUMNS[asked.doubt])):
        raise UsageError(f"--doubt {asked.doubt}: {reason}", "leave out --doubt")
    mirrors = allowed_mirrors(dense.flip or (0, 0)) if asked.doubt == "mirror" else []
    frame = (dense.frame[0], dense.frame[1]) if asked.any_size else None
    dtype = torch.float16 if asked.kind == "float16" else torch.float32
    return OnnxWrapper(dense.localizer, dtype, frame, asked.doubt != "none", mirrors)


def write_as(kind: str, path: Path, dense: CheckpointPredictor, wrapper: OnnxWrapper, calibration: Iterator[np.ndarray]) -> None:
    """Write a localizer as one ONNX file: kind `none` (float32), `float16`, or `int8`, which uses up the calibration images."""
    outputs = [*dense.task.onnx_outputs(dense.frame), *(dense.localizer.doubt_outputs if wrapper.doubt else [])]
    about, any_size = task_metadata(dense) | more_metadata(dense, wrapper), wrapper.frame is not None
    if kind != "int8":
        write_onnx(path, wrapper, dense.frame, about, outputs, any_size=any_size)
        return
    with tempfile.TemporaryDirectory() as folder:
        precise = Path(folder, "float32.onnx")
        write_onnx(precise, wrapper, dense.frame, about, outputs, any_size=any_size)
        write_int8(path, precise, calibration)


def more_metadata(dense: CheckpointPredictor, wrapper: OnnxWrapper) -> dict[str, str]:
    """What a file says of what it does beyond the model: squash images, tell its doubt."""
    more: dict[str, Any] = {"htl.frame": dense.frame, "htl.input": ANY_SIZE} if wrapper.frame else {}
    if wrapper.doubt:
        more["htl.doubt"] = {"column": COLUMNS["mirror" if wrapper.mirrors else "look"]}
    return as_json(more)


def task_metadata(dense: CheckpointPredictor) -> dict[str, str]:
    """What an ONNX file has to say so that it can be used: its task, and what the task adds."""
    about: dict[str, Any] = {"htl.training": dense.checkpoint.training | {"flip": dense.flip}, "htl.weights": dense.weights}
    about |= {"htl.referral": dense.referral} if dense.referral else {}
    about |= {"htl.fold": dense.fold} if dense.fold else {}
    about |= {"htl.copy_of": dense.copy_of} if dense.copy_of else {}
    return {"htl.task": dense.task.name} | as_json(dense.task.onnx_metadata(dense.localizer) | about)


def metadata(dense: CheckpointPredictor, kind: str, measured: dict[str, Any], history: list[dict[str, Any]]) -> dict[str, str]:
    """All that an ONNX file says of itself, see vocabulary.ONNX, but for its digests; measured: its mean IoU, where that is known."""
    texts = {"htl.input": ONNX["htl.input"]}
    calibration = {"calibration": f"{METHOD} over up to {IMAGES} rows of the split train"} if kind == "int8" else {}
    return texts | task_metadata(dense) | as_json({"htl.quantize": {"kind": kind} | calibration | measured, "htl.history": history})


def as_json(values: dict[str, Any]) -> dict[str, str]:
    """Each value as a line of JSON, text as it is."""
    return {name: value if isinstance(value, str) else compact_json(value).decode() for name, value in values.items()}


def calibration_images(rows: Sequence[Row], dense: CheckpointPredictor, seed: int) -> Iterator[np.ndarray]:
    """Images of some rows of the split train, drawn at random, in batches uint8 [B, H, W, C].

    Raises: DataError where there are none.
    """
    fitted = of_split(rows, "train")
    if not fitted:
        raise DataError("no row is of the split train", "--quantize int8 is calibrated on those")
    drawn = np.random.default_rng(seed).permutation(len(fitted))[:IMAGES]
    images = matching_images(rows_at(fitted, drawn), dense.frame, dense.path)
    return (images.batch(chosen) for chosen in batches(images.shape[0], AT_ONCE))


def validation_rows(rows: Sequence[Row], task: Task) -> Sequence[Row]:
    """The annotated rows of the split val, as `evaluate` measures them: repeats once, and no model's predictions."""
    there = of_split(rows, "val")
    return rows_where(there, (task.is_annotated(row) and not row.repeat and not row.is_pseudo for row in there))


def bench_lines(dense: CheckpointPredictor, path: Path, device: str, place: torch.device, seed: int) -> Iterator[list[str]]:
    """Lines for a table of latencies: torch and onnxruntime by turns, with as many threads, host memory to host memory."""
    file, random = OnnxPredictor(path, Runtime(device), torch.get_num_threads()), np.random.default_rng(seed)
    outputs = torch_outputs(dense.localizer, place, list(file.outputs))
    names = f"torch {torch.__version__} eager {place}", f"onnxruntime {file.model.provider}"
    for count in BENCH:
        batch = random.integers(0, 256, (count, *dense.frame), np.uint8)
        seconds = latencies([lambda: outputs(batch), lambda: file.outputs_of(batch)])  # noqa: B023  they are called at once
        medians, slow = np.median(seconds, 1), np.quantile(seconds, 0.9, 1)
        for name, median, late in zip(names, medians, slow):
            yield [f"{count}", name, f"{median * 1e3:.2f}", f"{late * 1e3:.2f}", f"{count / median:.0f}", f"{medians[0] / median:.2f}"]
