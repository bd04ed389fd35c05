"""`export`: an ONNX file is held against torch, on noise and images, or by what it loses of the mean IoU."""

import copy
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from htltools import console
from htltools.commands.shared.counted_images import CountedImages
from htltools.core.nets.localizer import Localizer
from htltools.core.nets.onnx_wrapper import OnnxWrapper
from htltools.errors import HtlError
from htltools.formats.rows.row import Row
from htltools.tasks.onnx_predictor import OnnxPredictor
from htltools.tasks.predictor import CheckpointPredictor
from htltools.tasks.rows import matching_images
from htltools.tasks.task import Data, Task

Outputs = Callable[[np.ndarray], Mapping[str, np.ndarray]]  # uint8 [B, H, W, C] to outputs by name

BATCHES = 1, 2, 5
REAL = 64  # rows to check on, when there are rows
TOLERANCE = 1e-4  # shares of the image's sides
ROUNDING = 0.02  # of doubt, and of images that are squashed: one pixel that rounds otherwise moves the IoU of a small box


def torch_outputs(localizer: Localizer, device: torch.device, names: list[str]) -> Outputs:
    """A localizer on a device, in channels-last memory, as a function from images uint8 [B, H, W, C] to its outputs by name."""
    placed = copy.deepcopy(localizer).to(device).to(memory_format=torch.channels_last)

    def outputs(batch: np.ndarray) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            values = placed.onnx_outputs(placed.normalised(torch.from_numpy(batch).to(device)))
        each = values if isinstance(values, tuple) else (values,)
        return dict(zip(names, (value.cpu().numpy() for value in each), strict=True))

    return outputs


def checking_batches(rows: Sequence[Row], dense: CheckpointPredictor, seed: int) -> tuple[list[np.ndarray], str]:
    """Noise in several batch sizes, and the images of the first rows where there are rows; and what that is, in words."""
    random = np.random.default_rng(seed)
    noise = [random.integers(0, 256, (count, *dense.frame), np.uint8) for count in BATCHES]
    if not rows:
        return noise, "noise"
    images = matching_images(rows[:REAL], dense.frame, dense.path)
    return [*noise, images.batch(np.arange(images.shape[0]))], f"noise and {images.shape[0]} images"


def agreement(kind: str, task: Task, ours: Outputs, theirs: Outputs, batches: list[np.ndarray], what: str) -> str:
    """How far the outputs of the file (theirs) are from those of torch (ours), in words.

    Raises: HtlError where that is too far: more than the rounding of float32, and for other kinds no number at all.
    """
    each = [task.largest_differences(ours(batch), theirs(batch)) for batch in batches]
    differences = {name: float(np.max([one[name] for one in each])) for name in each[0]}
    first, *others = differences
    for name, difference in differences.items():
        if kind == "none" and not difference <= TOLERANCE:
            of = "" if name == first else f" in its {name}"
            raise HtlError(f"the ONNX model differs from torch{of} by {difference:.2g} of the image's sides, more than {TOLERANCE:g}")
        if not np.isfinite(difference):
            raise HtlError(f"the {kind} file gives no numbers as {name}: the weights or activations overflow", "use --quantize none")
    further = "".join(f"; largest difference of {name} {differences[name]:.1e}" for name in others)
    unknown = "" if kind == "none" else "; its loss of IoU is not known, without annotated rows of the split val"
    return f"largest difference from torch {differences[first]:.1e} of the image's sides, on {what}{unknown}{further}"


def mean_ious(dense: CheckpointPredictor, file: OnnxPredictor, rows: Sequence[Row]) -> list[float]:
    """The mean IoU of the checkpoint and of the file with the annotation of the rows; of several objects the overlap of sets."""
    data = dense.data(rows)
    with console.progress("measuring", 2 * len(rows)) as steps:
        counted = Data(rows, CountedImages(data.images, steps), data.targets)
        predictions = [predictor.predict(counted) for predictor in (dense, file)]
    measured = [dense.task.per_sample(each, data.targets, dense.classes, dense.threshold) for each in predictions]
    return [float(each.values()["iou_mean"][0]) for each in measured]


def iou_loss_text(kind: str, theirs: float, ours: float, count: int, most: float) -> str:
    """What a quantized file loses of the mean IoU of float32 (ours), in words.

    Raises: HtlError where that is more than `most`.
    """
    reached = f"mean IoU on {count} validation rows {theirs:.4f}, float32 {ours:.4f}"
    if not ours - theirs <= most:
        raise HtlError(f"{kind} loses too much: {reached}, {ours - theirs:.2g} less", f"--max-loss {most:g} allows no more")
    return f"{reached}: {theirs - ours:+.4f}"


def inside_agreement(wrapper: OnnxWrapper, file: OnnxPredictor, batches: list[np.ndarray], kind: str) -> str:
    """How far what a file does beyond the model, doubt and squashing images of other sizes, is from torch, in words.

    Raises: HtlError where that is too far, for float32.
    """
    shapes = file.outputs | (wrapper.localizer.doubt_outputs if wrapper.doubt else {})
    if wrapper.frame:
        batches = [*batches, *(np.repeat(np.repeat(batch, 3, 1), 2, 2)[:, 1:, 1:] for batch in batches[:2])]
    differences: dict[str, list[float]] = {}
    for batch in batches:
        with torch.inference_mode():
            values = wrapper.eval()(torch.from_numpy(batch))
        each = values if isinstance(values, tuple) else (values,)
        ours, theirs = dict(zip(shapes, (value.numpy() for value in each), strict=True)), file.model.predict(batch, shapes)
        plain = ({name: side[name] for name in file.outputs} for side in (ours, theirs))
        for name, largest in file.task.largest_differences(*plain).items():
            differences.setdefault(name, []).append(largest)
        for name in shapes.keys() - file.outputs.keys():
            differences.setdefault(name, []).extend(np.abs(ours[name] - theirs[name]).astype(float).ravel().tolist())
    # an object whose score rounds across the threshold changes the doubt of its image, and no more than one of many does
    summary = np.mean if file.task.kind == "objects" else np.max
    reached = {name: float((summary if name in wrapper.localizer.doubt_outputs else np.max)(own)) for name, own in differences.items()}
    worst = max(reached.values())
    if kind == "none" and not worst <= ROUNDING:
        name = max(reached, key=reached.__getitem__)
        raise HtlError(f"the ONNX model differs from torch in its {name} by {worst:.2g}, more than {ROUNDING:g}")
    doubt = f"; largest difference of doubt {max(differences['doubt']):.1e}" if wrapper.doubt else ""
    return doubt + ("; images of other sizes are squashed inside" if wrapper.frame else "")
