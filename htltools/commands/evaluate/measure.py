"""What `evaluate` measures of models: metrics of all samples and by subgroup, and differences."""

from pathlib import Path

import numpy as np

from htltools import console, options
from htltools.commands.evaluate.conclusion import verdict
from htltools.commands.evaluate.gaps import gap_lines
from htltools.commands.evaluate.lines import metric_line
from htltools.commands.shared.inputs import (
    chosen_machine,
    groups_of,
    image_sizes,
    is_annotated,
    load_localizer,
    matching_images,
    target_boxes,
)
from htltools.commands.shared.machine import Machine
from htltools.core.geometry.boxes import iou
from htltools.core.geometry.matching import set_overlap
from htltools.core.geometry.objects import above
from htltools.core.nets.localizer import pixel_boxes
from htltools.core.nets.mask_localizer import MaskLocalizer
from htltools.core.runtime.predict import batches, predict_all
from htltools.core.statistics import average_precision
from htltools.core.statistics.cluster_bootstrap import Estimate, estimates
from htltools.core.statistics.sample_metrics import Agreement
from htltools.core.statistics.subgroups import Crossing, subgroups
from htltools.errors import DataError
from htltools.formats.models.checkpoint import architecture_of
from htltools.formats.models.onnx import OnnxLocalizer, is_onnx
from htltools.formats.tables.coco_results import is_json
from htltools.tasks import masks
from htltools.tasks.map_metrics import map_metrics
from htltools.tasks.objects import class_names, detected, target_objects
from htltools.tasks.predictions import COUNTS, boxes_of_results, hold_several, opened_objects


def metric_lines(
    rows: list[dict], models: list[Path], against: list[Path], crossings: list[Crossing], split: str, seed: int, machine: Machine
) -> list[dict]:
    """The metrics of models, runs of one kind, as means over them: of all rows, and by subgroup with the gap from best to worst.

    With `against`, as many models, also the differences, each model's to the one in its place. Of several processes only the
    first gets them.
    """
    agreed = [agreement(path, rows, machine) for path in [*models, *against]]
    if not options.first_process():
        return []
    ours, theirs = agreed[: len(models)], agreed[len(models) :]
    groups = np.array(groups_of(rows))

    def measured(subgroup: dict | None, places: np.ndarray) -> list[dict]:
        own, other = ([each.at(places) for each in side] for side in (ours, theirs))
        found = estimates(own, groups[places], other or None, seed=seed)
        about = {"split": split, "subgroup": subgroup, "n": len(places)}
        return [metric_line(name, about, estimate, against) for name, estimate in found.items()]

    lines = measured(None, np.arange(len(rows)))
    trusted = options.trusted_names(machine.trust)
    boxed = all(is_annotated(row) and len(row["boxes"]) == 1 for row in rows)
    annotated = target_boxes(rows) if boxed else None
    maps = [map_metrics(path, rows, annotated, machine.device, machine.precision, machine.batch_size, trusted) for path in models]
    for name in maps[0]:
        if all(name in each for each in maps):
            runs = tuple(each[name] for each in maps)
            about = {"split": split, "subgroup": None, "n": len(rows)}
            lines.append(metric_line(name, about, Estimate(sum(runs) / len(runs), None, None, runs)))
    if against:
        console.say(verdict(next(line for line in lines if line["metric"] == "iou_mean.delta")))
    for crossing in crossings:
        parts = subgroups(rows, crossing)
        by_level = [measured(*part) for part in parts]
        lines += [line for of_level in by_level for line in of_level]
        lines += gap_lines(crossing, parts, by_level, ours, groups, theirs, against, seed)
    return lines


def agreement(path: Path, rows: list[dict], machine: Machine) -> Agreement:
    """How the answers of a checkpoint, an ONNX file or COCO results agree with the annotation of the rows."""
    if not finds_several(path, rows):
        boxes, dice = predicted(path, rows, machine)
        return Agreement(iou(boxes, target_boxes(rows)), None if dice is None or np.isnan(dice).all() else dice)
    found, threshold, classes = detection_matches(path, rows, machine)
    annotated = target_objects(rows, classes)
    return Agreement(set_overlap(above(found, threshold), annotated), found=average_precision.detection_matches(found, annotated, classes))


def finds_several(path: Path, rows: list[dict]) -> bool:
    """Whether what lies at a path finds several objects. COCO results do where rows have several boxes, or classes of their own."""
    if is_json(path):
        return hold_several(rows)
    if is_onnx(path):
        return OnnxLocalizer(path, "cpu").several
    return "objects" in architecture_of(path)


def all_alike(paths: list[Path], rows: list[dict]) -> bool:
    """Whether all models find several objects; if none does, they answer with one box.

    Raises: DataError where some do and some do not: their metrics do not compare.
    """
    told = [finds_several(path, rows) for path in paths]
    if any(told) and not all(told):
        cause = f"{paths[told.index(True)]} finds several objects, {paths[told.index(False)]} answers with one box"
        raise DataError(cause, "compare models of one kind")
    return all(told)


def detection_matches(path: Path, rows: list[dict], machine: Machine) -> tuple[np.ndarray, float, list[str]]:
    """The objects found on each row, see `core.objects`: float32 [N, D, 6]; the score from which on they count; and their classes."""
    if is_json(path):
        (predictions,) = opened_objects([path], machine.coco, class_names(rows))
        found = predictions.objects(rows)
        predictions.tell()
        return found, COUNTS, predictions.classes
    if is_onnx(path):
        net = OnnxLocalizer(path, machine.device)
        return onnx_predictions(net, path, rows, machine), net.threshold, net.classes
    where, dtype = chosen_machine(machine.device, machine.precision)
    localizer, checkpoint = load_localizer(path, where, options.trusted_names(machine.trust))
    images = matching_images(rows, checkpoint.preprocessing["size"], path)
    predictions = predict_all([localizer], images, machine.batch_size, device=where, dtype=dtype)[0]
    return predictions, float(localizer.threshold), localizer.classes


def row_predictions(path: Path, rows: list[dict], role: str, machine: Machine) -> list[dict]:
    """What a model answers for each row, as the field `predicted` or `detected` of a role beside what the row has of it."""
    sizes = image_sizes(rows)
    if finds_several(path, rows):
        found, threshold, classes = detection_matches(path, rows, machine)
        told = [detected(own, size, classes) for own, size in zip(above(found, threshold), sizes)]
        return [{"detected": row.get("detected", {}) | {role: own}} for row, own in zip(rows, told)]
    boxes = pixel_boxes(predicted_boxes(path, rows, machine), sizes).tolist()
    return [{"predicted": row.get("predicted", {}) | {role: box}} for row, box in zip(rows, boxes)]


def onnx_predictions(net: OnnxLocalizer, path: Path, rows: list[dict], machine: Machine) -> np.ndarray:
    """What an ONNX file answers for each row: float32 [N, 4] or [N, D, 6]."""
    images = matching_images(rows, net.size, path)
    return np.concatenate([net.predict(images.batch(chosen)) for chosen in batches(len(rows), machine.batch_size)])


def predicted_boxes(path: Path, rows: list[dict], machine: Machine) -> np.ndarray:
    """The box that a checkpoint, an ONNX file or COCO results answer with for each row: float32 [N, 4], shares of the sides.

    Where results have none it is a box without area, which overlaps with nothing.
    """
    return predicted(path, rows, machine)[0]


def predicted(path: Path, rows: list[dict], machine: Machine) -> tuple[np.ndarray, np.ndarray | None]:
    """As `predicted_boxes`, and of a model that answers with masks the Dice of each row's mask, [N], NaN where it has none; else None."""
    if is_json(path):
        return boxes_of_results(path, rows, machine.coco), None
    if is_onnx(path):
        net = OnnxLocalizer(path, machine.device)
        if net.masked:
            return masks.onnx_boxes_and_dice(net, rows, masks.matching_masked(rows, net.size, path), machine.batch_size)
        return onnx_predictions(net, path, rows, machine), None
    where, dtype = chosen_machine(machine.device, machine.precision)
    localizer, checkpoint = load_localizer(path, where, options.trusted_names(machine.trust))
    how = {"batch_size": machine.batch_size, "device": where, "dtype": dtype}
    if isinstance(localizer, MaskLocalizer):
        return masks.boxes_and_dice(localizer, rows, masks.matching_masked(rows, checkpoint.preprocessing["size"], path), **how)
    images = matching_images(rows, checkpoint.preprocessing["size"], path)
    return predict_all([localizer], images, **how)[0], None
