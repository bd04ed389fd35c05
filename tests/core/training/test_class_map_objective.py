"""Weak supervision."""

import numpy as np
import pytest
import torch

from htltools.core.geometry.boxes import iou
from htltools.core.nets.factory import architecture, build
from htltools.core.runtime.predict import predict_all
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.loop import trained
from htltools.core.training.objectives.class_map import THRESHOLDS, ClassMapObjective, calibrate_map_threshold, class_balance
from htltools.core.training.schedule import Recipe

CPU = Runtime("cpu")
RECIPE = Recipe(epochs=3, batch_size=16)


class Coloured:
    """Images of a shelf whose rectangles are red or green: that is their class."""

    def __init__(self, shelf):
        self.images, self.shape, self.boxes = shelf.images.copy(), shelf.shape, shelf.boxes
        self.classes = np.arange(len(self.images)) % 2
        for image, number in zip(self.images, self.classes):
            image[..., 2] = 30
            image[..., 1 - number] = np.where(image[..., 1 - number] > 100, 60, image[..., 1 - number])

    def batch(self, chosen):
        """The chosen images."""
        return self.images[chosen]


def fresh():
    """A map localizer for two classes."""
    torch.manual_seed(0)
    return build(architecture("compact", (32, 32, 3), "class_map", classes=["red", "green"]))


def states(shelf, validation=None, weights=None, resume=None, recipe=RECIPE):
    """The states after each epoch."""
    held_out = (validation, validation.boxes) if validation else None
    weights = np.ones(len(shelf.classes), np.float32) if weights is None else weights
    return list(
        trained(ClassMapObjective(fresh(), shelf, shelf.classes, weights, held_out, recipe, CPU), held_out, recipe, CPU, resume=resume)
    )


def same(first, second):
    """Whether two sets of weights agree in every bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_labels_alone_find_the_object(shelf, other_shelf):
    """A net that is trained on nothing but the colour of the object finds it: its boxes are better than one constant box."""
    validation = Coloured(other_shelf)
    best = max(entry["val_iou"] for entry in states(Coloured(shelf), validation, recipe=Recipe(epochs=8, batch_size=16))[-1].log)
    constant = iou(np.broadcast_to(np.median(validation.boxes, 0), validation.boxes.shape), validation.boxes).mean()
    assert best > constant + 0.1


def test_interrupted_equals_undisturbed(shelf, other_shelf):
    """A training that stops and goes on ends with the same weights, threshold and log, bit for bit."""
    undisturbed = states(Coloured(shelf), Coloured(other_shelf))[-1]
    resumed = states(Coloured(shelf), Coloured(other_shelf), resume=states(Coloured(shelf), Coloured(other_shelf))[0])[-1]
    assert same(resumed.weights, undisturbed.weights) and same(resumed.best, undisturbed.best)
    assert resumed.log == undisturbed.log


def test_boxes_set_the_threshold_and_nothing_else(shelf, other_shelf):
    """With other boxes for validation, or none, every weight but the threshold is the same in every bit."""
    first, second = Coloured(other_shelf), Coloured(other_shelf)
    second.boxes = np.tile(np.float32([0.4, 0.4, 0.6, 0.6]), (16, 1))
    ends = [states(Coloured(shelf), validation)[-1].weights for validation in (first, second, None)]
    for weights in ends:
        weights.pop("threshold")
    assert same(ends[0], ends[1]) and same(ends[0], ends[2])


def test_weights_multiply_the_loss(shelf):
    """The weight of a sample multiplies its part in the loss: twice the weights, twice the loss of the first step."""
    recipe = Recipe(epochs=1, batch_size=48)
    losses = [states(Coloured(shelf), weights=np.full(48, w, np.float32), recipe=recipe)[-1].log[-1]["loss"] for w in (0, 1, 2)]
    assert losses == pytest.approx([0, losses[1], 2 * losses[1]], rel=1e-4)


def test_the_threshold_is_the_best_one(shelf):
    """calibrate takes the threshold with the highest mean IoU of all that it tries."""
    model = fresh().eval()
    reached = []
    for threshold in THRESHOLDS:
        model.threshold.fill_(threshold)
        reached.append(iou(predict_all([model], shelf, CPU.at(64))[0], shelf.boxes).mean())
    calibrate_map_threshold(model, shelf, shelf.boxes, CPU)
    assert model.threshold.item() == pytest.approx(THRESHOLDS[int(np.argmax(reached))])


def test_rare_classes_weigh_more():
    """A class of a quarter of the size counts twice as much; the mean is 1."""
    weights = class_balance(np.array([7, 7, 7, 7, 2]))
    assert weights[4] / weights[0] == pytest.approx(2)
    assert weights.mean() == pytest.approx(1)
