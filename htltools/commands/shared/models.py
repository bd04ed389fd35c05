"""Which model a command uses, and where it runs."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htltools import console
from htltools.core.hardness.prediction_spread import PredictionSpread
from htltools.core.runtime.runtime import Runtime
from htltools.errors import DataError, MissingInput, torch_missing
from htltools.formats.models.onnx_session import installed_runtimes
from htltools.formats.remote.cache import local_path
from htltools.formats.rows.provenance import file_digest
from htltools.formats.rows.stream import RowReader
from htltools.processes import several_processes
from htltools.tasks.onnx_predictor import OnnxPredictor
from htltools.tasks.predictor import CheckpointPredictor, Predictor, needs_torch

if TYPE_CHECKING:
    from htltools.core.nets.looks import Looks

FLAGS = {"dense": "--model", "pruned": "--pruned"}  # that name a model of a role
NAMED = 3  # dead layers that a warning names
LATE = 0.05  # of IoU, above a constant box: what a training that began to learn has after a fifth of its epochs
STEPS = 50  # of the optimizer, before which a training can not be late


def model_path(flag: Path | None, reader: RowReader, role: str, name: str | None = None) -> Path:
    """The model that a flag names, or else the last one of that role in the stream.

    Raises: MissingInput where neither does; DataError where the file is no longer the one that the stream means.
    """
    name = name or FLAGS[role]
    if flag is not None:
        return flag
    if role not in reader.models:
        raise MissingInput(f"no {role} model in {reader.name} or {name}", "did a filter drop the notes? See htl-stream(5)")
    path, digest = local_path(reader.models[role]), reader.digests[role]
    if digest and path.is_file() and file_digest(path) != digest:
        raise DataError(
            f"{path} is no longer the {role} model that {reader.name} means", f"name it with {name} if it is right all the same"
        )
    return path


def explain_runtime(runtime: Runtime, paths: Iterable[Path] | None = None) -> None:
    """Say, with -v, where models run that torch runs. Processes of one job meet here.

    paths: of models, of which perhaps none needs torch; None: it is needed.

    Raises: DeviceMissing where torch is not installed, and one of the files needs it; or where the device is not there.
    """
    who = next((f"{path}, a checkpoint," for path in paths if needs_torch(path)), None) if paths is not None else "this"
    if who is None and not several_processes():
        return
    try:
        from htltools.core.runtime.device import multiplies_bf16_fast
    except ModuleNotFoundError as error:
        raise torch_missing(error, who or "a job of several processes") from None
    faster = ""
    if runtime.precision == "auto" and multiplies_bf16_fast(runtime.device):
        fast = "tf32 or bf16" if runtime.device.type == "cuda" else "bf16"
        faster = f"; --precision {fast} can be faster here, and may cost a little IoU"
    console.explain(f"computing on {runtime.device} in {str(runtime.dtype).removeprefix('torch.')}{faster}")


def explain_models(models: Iterable[Predictor]) -> None:
    """Say, with -v, what models are and where they run; also with -q, where onnxruntime computes on the CPU for a reason to be mended."""
    onnx_files = []
    for model in models:
        if isinstance(model, (CheckpointPredictor, OnnxPredictor)):
            console.explain(str(model))
        if isinstance(model, OnnxPredictor):
            onnx_files.append(model)
    if any(model.device == "cpu" and model.runtime.device_name != "cpu" for model in onnx_files) and len(names := installed_runtimes()) > 1:
        remedy = f"pip uninstall {' '.join(names)}, then install the one that you want"
        console.warn(f"{' and '.join(names)} are both installed, and write the same files, so that a GPU may go unused; {remedy}")


def warn_if_constant(val_iou: float, constant: float, prediction: str) -> None:
    """Report, also with -q, where a model has learned nothing that a constant box, or mask, does not know."""
    if val_iou <= constant:
        console.warn(
            f"its validation IoU {val_iou:.4f} is no better than that of one constant {prediction} ({constant:.4f}): train it longer"
        )


def warn_if_late(val_ious: Sequence[float], steps: int, constant: float, prediction: str) -> None:
    """Report, also with -q, where a training of 5 epochs or more was hardly better than a constant box, or mask, after a fifth of them.

    steps: of the optimizer in an epoch.

    On HAM10000, of 20 trainings of `compact` on 5 and 10 % of the boxes 3 began so late, and ended .03 to .10 below the others.
    """
    early = round(len(val_ious) / 5)
    if len(val_ious) >= 5 and early * steps >= STEPS and val_ious[early - 1] <= constant + LATE:
        console.warn(
            f"after {early} of {len(val_ious)} epochs its validation IoU {val_ious[early - 1]:.4f} was hardly better than that of one "
            f"constant {prediction} ({constant:.4f}); so late a start can cost IoU: try another --seed"
        )


def warn_if_sides_are_mirrored(classes: Sequence[str], flip: Sequence[float]) -> None:
    """Report classes that name a side, where training sees images that show the other one in its place."""
    sided = [name for name in classes if {"left", "right"} & {*re.split(r"[\W_]+", name.lower())}]
    if flip[0] > 0 and sided:
        names = f"the class{'es' if len(sided) > 1 else ''} {', '.join(sided)} name{'' if len(sided) > 1 else 's'} a side"
        console.warn(f"{names}, and training sees mirror images, in which left is right: name --flip none or vertical")


def warn_if_unhealthy(path: Path, pruning: dict[str, Any]) -> None:
    """Report, also with -q, what is wrong with a pruned copy, by what `prune` measured of it: hardness from it would be its damage."""
    from htltools.core.pruning.unstructured import HEALTHY

    val_iou, dense_iou, constant = (pruning.get(name) for name in ("val_iou", "dense_val_iou", "constant_val_iou"))
    wrong = []
    if val_iou is not None and dense_iou is not None and val_iou < HEALTHY * dense_iou:
        wrong.append(f"its validation IoU {val_iou:.4f} is below {HEALTHY} of the dense {dense_iou:.4f}")
    if val_iou is not None and constant is not None and val_iou <= constant:
        wrong.append(f"no better than one constant prediction ({constant:.4f})")
    if pruning.get("constant"):
        wrong.append("it predicts the same for every image")
    if dead := pruning.get("dead_layers"):
        more = f" and {len(dead) - NAMED} more" if len(dead) > NAMED else ""
        wrong.append(f"dead layers: {', '.join(dead[:NAMED])}{more}")
    if wrong:
        of_dense = dense_iou is not None and constant is not None and dense_iou <= constant
        remedy = "train its dense model longer" if of_dense else "cut less, or recover it longer"
        console.warn(f"{path} is not healthy: {', '.join(wrong)}; {remedy}")


def warn_if_one_prediction(path: Path, spread: PredictionSpread) -> None:
    """Report, also with -q, a pruned model whose predictions for the rows that were scored are all the same."""
    if spread.is_constant:
        console.warn(
            f"{path} predicts the same for all {spread.count} rows: "
            "pruned_disagreement, pruned_shift and pruned_loss are then the distance from that one prediction, not hardness"
        )


def explain_looks(looks: "Looks", tried: "dict[Looks, float]") -> dict[str, float]:
    """Say how a model looks, and what it reaches by that; the same as metrics. tried: mean validation IoU by looks."""
    reached, once = tried[looks], next((value for each, value in tried.items() if each.count == 1), None)
    alone = "" if once is None or looks.count == 1 else f"; of one look: {once:.4f}"
    times = "once" if looks.count == 1 else f"{looks.count} times, window {looks.window:g}"
    console.say(f"looks: {times}{', mean of the last two' if looks.average else ''}, validation IoU {reached:.4f}{alone}")
    return {"val_iou": reached} | ({} if once is None else {"one_look_val_iou": once})
