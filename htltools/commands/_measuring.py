"""What `evaluate` measures of models: metrics of all samples and by subgroup, and differences."""

from pathlib import Path

import numpy as np

from htltools import options
from htltools.commands._inputs import chosen_machine, groups_of, load_localizer, matching_pictures, target_boxes
from htltools.commands._map_metrics import map_metrics
from htltools.commands._metric_lines import metric_line
from htltools.core.bootstrap import Estimate, estimates
from htltools.core.boxes import iou
from htltools.core.subgroups import Crossing, subgroups
from htltools.formats.onnx_file import OnnxLocalizer, is_onnx


def metric_lines(
    rows: list[dict],
    paths: list[Path],
    crossings: list[Crossing],
    split: str,
    seed: int,
    *,
    device: str,
    precision: str,
    batch_size: int,
) -> list[dict]:
    """The metrics of the model at the first path, of all rows and by subgroup, and the differences to the second where there is one.

    Of several processes only the first gets them.
    """
    annotated = target_boxes(rows)
    ious = [iou(predicted_boxes(path, rows, device, precision, batch_size), annotated) for path in paths]
    if not options.first_process():
        return []
    groups = np.array(groups_of(rows))
    against = paths[1] if len(paths) > 1 else None
    parts = [(None, np.arange(len(rows))), *(part for crossing in crossings for part in subgroups(rows, crossing))]
    lines = []
    for subgroup, places in parts:
        found = estimates(ious[0][places], groups[places], ious[1][places] if against else None, seed=seed)
        about = {"split": split, "subgroup": subgroup, "n": len(places)}
        lines += [metric_line(name, about, estimate, against) for name, estimate in found.items()]
        if subgroup is None:
            found = map_metrics(paths[0], rows, annotated, device, precision, batch_size)
            lines += [metric_line(name, about, Estimate(value, None, None), None) for name, value in found.items()]
    return lines


def predicted_boxes(path: Path, rows: list[dict], device: str, precision: str, batch_size: int):
    """The box that a checkpoint or an ONNX file answers with for each row: float32 [N, 4], shares of the sides."""
    if is_onnx(path):
        net = OnnxLocalizer(path, device)
        pictures = matching_pictures(rows, net.size, path)
        starts = range(0, len(rows), batch_size)
        return np.concatenate([net.answer(pictures.batch(np.arange(i, min(i + batch_size, len(rows))))) for i in starts])
    from htltools.core.answers import all_answers

    where, dtype = chosen_machine(device, precision)
    localizer, checkpoint = load_localizer(path, where)
    pictures = matching_pictures(rows, checkpoint.preprocessing["size"], path)
    return all_answers([localizer], pictures, batch_size, device=where, dtype=dtype)[0]
