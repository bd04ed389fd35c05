"""What `evaluate` measures of models: metrics of all samples and by subgroup, and differences."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from htltools import console, options
from htltools.commands import _masks
from htltools.commands._gap_lines import gap_lines
from htltools.commands._inputs import chosen_machine, groups_of, load_localizer, matching_pictures, target_boxes
from htltools.commands._map_metrics import map_metrics
from htltools.commands._metric_lines import metric_line
from htltools.commands._predictions import told_boxes
from htltools.commands._verdict import verdict
from htltools.core.agreement import Agreement
from htltools.core.answers import all_answers, batches
from htltools.core.bootstrap import Estimate, estimates
from htltools.core.boxes import iou
from htltools.core.mask_localizer import MaskLocalizer
from htltools.core.subgroups import Crossing, subgroups
from htltools.formats.coco_results import is_json
from htltools.formats.onnx_file import OnnxLocalizer, is_onnx


@dataclass(frozen=True)
class Machine:
    """Where and how models are run."""

    device: str
    precision: str
    batch_size: int
    coco: Path | None = None  # the data set whose images COCO results number
    trust: str | None = None  # names of nets that may run


def metric_lines(
    rows: list[dict], models: list[Path], against: list[Path], crossings: list[Crossing], split: str, seed: int, machine: Machine
) -> list[dict]:
    """The metrics of models, runs of one kind, as means over them: of all rows, and by subgroup with the gap from best to worst.

    With `against`, as many models, also the differences, each model's to the one in its place. Of several processes only the
    first gets them.
    """
    annotated = target_boxes(rows)
    found = [agreement(path, rows, annotated, machine) for path in [*models, *against]]
    if not options.first_process():
        return []
    ours, theirs = found[: len(models)], found[len(models) :] if against else None
    groups = np.array(groups_of(rows))

    def measured(subgroup: dict | None, places: np.ndarray) -> list[dict]:
        inside, before = ([run.at(places) for run in runs] if runs else None for runs in (ours, theirs))
        found = estimates(inside, groups[places], before, seed=seed)
        about = {"split": split, "subgroup": subgroup, "n": len(places)}
        return [metric_line(name, about, estimate, against) for name, estimate in found.items()]

    lines = measured(None, np.arange(len(rows)))
    trusted = options.names_trusted(machine.trust)
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


def agreement(path: Path, rows: list[dict], annotated: np.ndarray, machine: Machine) -> Agreement:
    """How a model agrees with the annotated boxes [N, 4] of the rows, and with their lesion masks where it answers with such."""
    boxes, dice = predicted(path, rows, machine)
    return Agreement(iou(boxes, annotated), None if dice is None or np.isnan(dice).all() else dice)


def predicted_boxes(path: Path, rows: list[dict], machine: Machine) -> np.ndarray:
    """The box that a checkpoint, an ONNX file or COCO results answer with for each row: float32 [N, 4], shares of the sides.

    Where results have none it is a box without area, which overlaps with nothing.
    """
    return predicted(path, rows, machine)[0]


def predicted(path: Path, rows: list[dict], machine: Machine) -> tuple[np.ndarray, np.ndarray | None]:
    """As `predicted_boxes`, and of a model that answers with masks the Dice of each row's mask, [N], NaN where it has none; else None."""
    if is_json(path):
        return told_boxes(path, rows, machine.coco), None
    if is_onnx(path):
        net = OnnxLocalizer(path, machine.device)
        if "masks" in net.outputs:
            return _masks.onnx_boxes_and_dice(net, rows, _masks.matching_masked(rows, net.size, path), machine.batch_size)
        pictures = matching_pictures(rows, net.size, path)
        turns = batches(len(rows), machine.batch_size)
        return np.concatenate([net.answer(pictures.batch(chosen)) for chosen in turns]), None
    where, dtype = chosen_machine(machine.device, machine.precision)
    localizer, checkpoint = load_localizer(path, where, options.names_trusted(machine.trust))
    how = {"batch_size": machine.batch_size, "device": where, "dtype": dtype}
    if isinstance(localizer, MaskLocalizer):
        return _masks.boxes_and_dice(localizer, rows, _masks.matching_masked(rows, checkpoint.preprocessing["size"], path), **how)
    pictures = matching_pictures(rows, checkpoint.preprocessing["size"], path)
    return all_answers([localizer], pictures, **how)[0], None
