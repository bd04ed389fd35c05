"""Whether a model's predictions tell images apart."""

import numpy as np
import pytest

from htltools.core.geometry.objects import stacked
from htltools.core.hardness.prediction_spread import ENOUGH, FEWEST, PredictionSpread
from htltools.core.hardness.scores import edge_distance
from htltools.tasks.registry import TASKS

RANDOM = np.random.default_rng(0)
BOXES = np.sort(RANDOM.random((40, 2, 2)), 1).reshape(40, 4)


def masks_of(boxes):
    """Masks [N, 16, 16] that fill the boxes."""
    masks = np.zeros((len(boxes), 16, 16), np.float32)
    for mask, (x0, y0, x1, y1) in zip(masks, (boxes * 16).round().astype(int)):
        mask[y0:y1, x0:x1] = 1
    return masks


def objects_of(boxes):
    """One object an image [N, 1, 6]."""
    return np.concatenate([boxes, np.zeros((len(boxes), 1)), np.full((len(boxes), 1), 0.9)], 1)[:, None]


FORMS = {"box": lambda boxes: boxes, "class_map": lambda boxes: boxes, "mask": masks_of, "detect": objects_of}


@pytest.mark.parametrize("task", TASKS)
def test_one_constant_prediction_of_every_task(task):
    """The same prediction for each image is constant, whatever is predicted; different ones are not."""
    for boxes, constant in (BOXES, False), (np.tile(BOXES[:1], (40, 1)), True):
        spread = PredictionSpread(TASKS[task].comparison.distance)
        for part in np.array_split(FORMS[task](boxes), [1, 2, 9]):
            spread.add(part)
        assert (spread.is_constant, spread.count) == (constant, 40)
        assert spread.value == 0 if constant else spread.value > 0.1


@pytest.mark.parametrize(
    "task, nothing", [("mask", np.zeros((40, 16, 16), np.float32)), ("detect", np.tile([0, 0, 0, 0, -1, 0.0], (40, 1, 1)))]
)
def test_nothing_on_every_image_is_constant(task, nothing):
    """A net that finds nothing anywhere answers with one constant, too."""
    spread = PredictionSpread(TASKS[task].comparison.distance)
    spread.add(nothing)
    assert spread.is_constant


def test_batches_do_not_matter():
    """One by one, in batches or at once the spread is the same: the mean distance of neighbours; missing predictions are passed over."""
    known = BOXES.copy()
    known[[0, 7, 8, 39]] = np.nan
    values = []
    for parts in 1, 4, 40:
        spread = PredictionSpread(edge_distance)
        for part in np.array_split(known, parts):
            spread.add(part)
        values.append(spread.value)
    there = BOXES[~np.isnan(known).any(1)]
    assert values == pytest.approx([np.abs(np.diff(there, axis=0)).mean()] * 3)


def test_batches_of_objects_differ_in_places():
    """A batch whose images have places for more objects is compared with one that has fewer."""
    spread, objects = PredictionSpread(TASKS["detect"].comparison.distance), objects_of(np.tile(BOXES[:1], (20, 1)))
    spread.add(objects)
    spread.add(stacked([objects, np.repeat(objects, 3, 1)])[0])
    assert (spread.value, spread.count) == (0, 40)


def test_few_predictions_show_nothing():
    """Of fewer than FEWEST predictions nothing is concluded."""
    spread = PredictionSpread(edge_distance)
    spread.add(np.tile(BOXES[:1], (FEWEST - 1, 1)))
    assert (spread.value, spread.is_constant) == (None, False)
    spread.add(BOXES[:1])
    assert spread.is_constant


def test_a_model_that_tells_images_apart_is_no_longer_watched():
    """After ENOUGH predictions that differ no more is computed; as many that are the same do not end it."""
    for boxes, counted in (np.resize(BOXES, (ENOUGH, 4)), ENOUGH), (np.tile(BOXES[:1], (ENOUGH, 1)), 2 * ENOUGH):
        spread = PredictionSpread(edge_distance)
        spread.add(boxes)
        spread.add(boxes)
        assert spread.count == counted
