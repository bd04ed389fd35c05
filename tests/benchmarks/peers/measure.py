"""One evaluator for all tools, of htl's own functions: IoU of each annotated object, average precision as COCO has it."""

import sys
from pathlib import Path

import numpy as np
from rows import Data, Sample

sys.path.insert(1, str(Path(__file__).parents[3]))  # this checkout, installed or not
from htltools.core.geometry.boxes import iou
from htltools.core.geometry.objects import packed
from htltools.core.statistics.average_precision import detection_matches
from htltools.core.statistics.iou_metrics import metric_values

METRICS = "iou_mean", "acc@0.75", "iou_p10"


def overlaps(samples: list[Sample], found: list[np.ndarray]) -> np.ndarray:
    """IoU of each annotated object with the predicted one of its class that has the highest score; 0 where there is none."""
    values = []
    for sample, objects in zip(samples, found, strict=True):
        for box, number in zip(sample.boxes, sample.classes):
            own = objects[objects[:, 4] == number]
            values.append(float(iou(own[own[:, 5].argmax(), :4], box)) if len(own) else 0.0)
    return np.array(values)


def metrics(data: Data, found: list[np.ndarray]) -> dict[str, float]:
    """iou_mean, acc@0.75, iou_p10 and ap of predicted objects [n, 6] for the images of split test."""
    values = metric_values(overlaps(data.test, found))
    shares = [objects / [*sample.size, *sample.size, 1, 1] for sample, objects in zip(data.test, found, strict=True)]
    ordered = packed([own[np.argsort(-own[:, 5], kind="stable")] for own in shares], 6)
    annotated = [np.column_stack([sample.boxes / np.tile(sample.size, 2), sample.classes]) for sample in data.test]
    matches = detection_matches(ordered, packed(annotated, 5), data.names)
    ap = matches.values(np.ones((1, len(data.test)), int))["ap"]
    return {name: float(values[name][0]) for name in METRICS} | {"ap": float(ap[0])}
