"""Detectors in training: they learn, resume, and set the score that counts."""

import numpy as np
import pytest
import torch

from htltools.core.geometry.objects import packed
from htltools.core.nets.detection.detector import room_for
from htltools.core.nets.factory import architecture, build
from htltools.core.nets.state_arrays import from_weights, weights_of
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.loop import trained
from htltools.core.training.objectives.detection import (
    THRESHOLDS,
    DetectionObjective,
    calibrate_score_threshold,
    constant_objects,
    constant_set_overlap,
    object_losses,
    visible_classes,
)
from htltools.core.training.schedule import Recipe
from htltools.core.training.validation import mean_iou

CPU = Runtime("cpu")
SHAPE = architecture("compact_fcos", (64, 64, 3), "detect", classes=["bright", "red"], most=10)


class Scenes:
    """Images in memory with none to two objects: bright or red rectangles on a dark, noisy ground."""

    def __init__(self, count, seed=0):
        random = np.random.default_rng(seed)
        self.images = random.integers(0, 60, (count, 64, 64, 3), np.uint8)
        self.shape, objects = self.images.shape, []
        for image in self.images:
            own = []
            for side in range(random.integers(0, 3)):
                x0, y0 = random.integers(2, 10) + 32 * side, random.integers(2, 30)
                x1, y1 = x0 + random.integers(10, 20), y0 + random.integers(12, 30)
                kind = int(random.integers(2))
                image[y0:y1, x0:x1, : 1 if kind else 3] += 180
                own.append([x0 / 64, y0 / 64, x1 / 64, y1 / 64, kind])
            objects.append(np.array(own, float).reshape(-1, 5))
        self.objects = packed(objects, 5)

    def batch(self, chosen):
        """The chosen images."""
        return self.images[chosen]


@pytest.fixture(scope="module")
def scenes():
    """96 scenes to learn from, and 32 to check on."""
    return Scenes(96), Scenes(32, seed=1)


def objective_of(scenes, recipe, weights=None):
    """A fresh detector of seed 0 and its objective."""
    torch.manual_seed(0)
    learned, held_out = scenes
    weights = np.ones(96, np.float32) if weights is None else weights
    return DetectionObjective(build(SHAPE), learned, learned.objects, weights, (held_out, held_out.objects), recipe, CPU)


def test_learns_and_is_the_same_after_a_stop(scenes):
    """A few epochs find most objects of unseen scenes; one that stopped after four epochs goes on to the same weights, bit for bit."""
    recipe, held_out = Recipe(epochs=6, batch_size=16, rate=3e-3), (scenes[1], scenes[1].objects)
    states = list(trained(objective_of(scenes, recipe), held_out, recipe, CPU))
    assert states[-1].log[-1]["val_iou"] > 0.5
    resumed = list(trained(objective_of(scenes, recipe), held_out, recipe, CPU, resume=states[3]))[-1]
    assert all(torch.equal(tensor, states[-1].weights[name]) for name, tensor in resumed.weights.items())
    model = build(SHAPE)
    model.load_state_dict(states[-1].best)
    again = from_weights(SHAPE, weights_of(model))
    assert again.classes == ["bright", "red"]
    assert float(again.threshold) in THRESHOLDS.astype(np.float32)
    best = max(entry["val_iou"] for entry in states[-1].log)
    assert mean_iou(again, *held_out, CPU.at(16)) == pytest.approx(best, abs=1e-6)


def test_the_threshold_is_the_best_there_is(scenes):
    """No other of the thresholds tried has a higher mean overlap."""
    torch.manual_seed(1)
    model, (images, objects) = build(SHAPE).eval(), (scenes[1], scenes[1].objects)
    calibrate_score_threshold(model, images, objects, CPU.at(16))
    reached = mean_iou(model, images, objects, CPU.at(16))
    for threshold in THRESHOLDS:
        model.threshold.fill_(threshold)
        assert mean_iou(model, images, objects, CPU.at(16)) <= reached + 1e-6


def test_weights_count(scenes):
    """The loss of a step is linear in the weights: what two samples cost together is what each costs alone."""
    recipe = Recipe(epochs=1, batch_size=96)

    def loss(*chosen):
        weights = np.zeros(96, np.float32)
        weights[list(chosen)] = 96 / len(chosen)
        return next(iter(objective_of(scenes, recipe, weights).losses(0))).item()

    assert loss(3, 5) == pytest.approx((loss(3) + loss(5)) / 2, rel=1e-5)
    assert loss(3) != pytest.approx(loss(5), rel=1e-3)


def test_loss_of_images_as_they_are(scenes):
    """Each image has its loss, whatever the batches; one that is not annotated has none; the mode of the model does not matter."""
    torch.manual_seed(0)
    model, objects = build(SHAPE), scenes[1].objects.copy()
    objects[4] = np.nan
    losses = object_losses(model, scenes[1], objects, CPU.at(16))
    assert np.isnan(losses).nonzero()[0].tolist() == [4]
    assert object_losses(model, scenes[1], objects, CPU.at(5)) == pytest.approx(losses, abs=1e-4, nan_ok=True)


def test_what_the_border_cuts_off_is_gone():
    """An object of which less than a quarter is left after a change counts as none; empty places stay empty."""
    objects = torch.tensor([[[0, 0, 0.4, 0.4, 1], [0, 0, 0.4, 0.4, 0], [0, 0, 0, 0, -1.0]]])
    moved = torch.tensor([[[0, 0, 0.4, 0.2], [0, 0, 0.4, 0.05], [0, 0, 0, 0.0]]])
    assert visible_classes(objects, moved, torch.ones(1, 2)).tolist() == [[1, -1, -1]]
    zoomed_in = torch.tensor([[[0, 0, 0.8, 0.8], [0, 0, 0.2, 0.2], [0, 0, 0, 0.0]]])
    assert visible_classes(objects, zoomed_in, torch.full((1, 2), -0.5)).tolist() == [[1, -1, -1]]


def test_room():
    """There is room for twice as many objects as were annotated, for 10 at least, and for 100 at most."""
    assert [room_for(count) for count in (0, 2, 20, 90)] == [10, 10, 40, 100]


def test_constant_set_is_worked_by_hand():
    """Pairs stand for each other from left to right whatever their order; where most images are empty the constant set is none."""
    left, right, red = [0.0, 0, 0.4, 1, 0], [0.6, 0, 1, 1, 0], [0.2, 0.2, 0.8, 0.8, 1]
    pairs = [np.array([left, right]), np.array([right, left]), np.array([right, left])]
    objects = packed([*pairs, np.array([red]), np.zeros((0, 5)), None], 5)
    assert constant_objects(objects).tolist() == [left, right]
    half = packed([np.array([left]), np.array([left, right]), np.array([[0, 0, 0.2, 1, 0], right])], 5)
    assert constant_set_overlap(objects, half) == pytest.approx((0.5 + 1 + 0.75) / 3)
    mostly_empty = packed([np.zeros((0, 5))] * 4 + [np.array([left])], 5)
    assert (constant_objects(mostly_empty)[:, 4] < 0).all()
    assert constant_set_overlap(mostly_empty, mostly_empty) == 0.8
    shuffled = objects[np.random.default_rng(0).permutation(len(objects))]
    assert constant_objects(shuffled).tolist() == constant_objects(objects).tolist()
