"""The training loop."""

import numpy as np
import pytest
import torch

from htltools.core.nets.factory import architecture, build
from htltools.core.nets.freezing import freeze
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.loop import trained
from htltools.core.training.objectives.box import BoxObjective
from htltools.core.training.schedule import Recipe
from htltools.core.training.validation import mean_iou
from htltools.errors import HtlError, UsageError

CPU = Runtime("cpu")
ONES = np.ones(48, np.float32)
RECIPE = Recipe(epochs=3, batch_size=16)


def fresh():
    """A compact localizer with the weights of seed 0."""
    torch.manual_seed(0)
    return build(architecture("compact", (32, 32, 3)))


def states(shelf, validation=None, weights=ONES, recipe=RECIPE, resume=None, model=None):
    """The states after each epoch of a training."""
    held_out = (validation, validation.boxes) if validation else None
    return list(trained(BoxObjective(model or fresh(), shelf, shelf.boxes, weights, recipe, CPU), held_out, recipe, CPU, resume=resume))


def same(first, second):
    """Whether two sets of weights agree in every bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def undisturbed(shelf, other_shelf):
    """The states of a training of three epochs."""
    return states(shelf, other_shelf)


def test_same_seed_same_weights(shelf, other_shelf, undisturbed):
    """Training twice with one seed gives the same weights in every bit, whatever was drawn before; another seed gives others."""
    torch.rand(7)
    assert same(states(shelf, other_shelf)[-1].weights, undisturbed[-1].weights)
    assert not same(states(shelf, other_shelf, recipe=Recipe(3, 16, seed=1))[-1].weights, undisturbed[-1].weights)


@pytest.mark.parametrize("stopped_after", [1, 2, 3])
def test_interrupted_equals_undisturbed(shelf, other_shelf, undisturbed, stopped_after):
    """A training that stops after any epoch and goes on ends with the same weights, best epoch and log, bit for bit."""
    resume = states(shelf, other_shelf)[stopped_after - 1]
    for moments in resume.optimizer["state"].values():  # as they come from a file
        moments |= {name: tensor.contiguous() for name, tensor in moments.items()}
    torch.manual_seed(99)
    model = build(architecture("compact", (32, 32, 3)))
    end = (states(shelf, other_shelf, resume=resume, model=model) or [resume])[-1]
    assert same(end.weights, undisturbed[-1].weights)
    assert same(end.best, undisturbed[-1].best)
    assert end.log == undisturbed[-1].log


def test_states_do_not_change_afterwards(undisturbed):
    """What was yielded after an epoch stays as it was: later epochs change copies."""
    assert not same(undisturbed[0].weights, undisturbed[1].weights)
    assert [state.epoch for state in undisturbed] == [1, 2, 3]
    assert [len(state.log) for state in undisturbed] == [1, 2, 3]


def test_weights_of_one_are_no_weights_and_others_count(shelf):
    """Weights that are all 1 train like none at all; a sample of weight 0 is as if its box were another."""
    one = Recipe(1, 16)
    plain = states(shelf, recipe=one)[-1].weights
    assert same(states(shelf, weights=ONES.copy(), recipe=one)[-1].weights, plain)
    halves = np.where(np.arange(48) < 24, 2, 0).astype(np.float32)
    weighted = states(shelf, weights=halves, recipe=one)[-1].weights
    assert not same(weighted, plain)
    moved = type(shelf)(48)
    moved.boxes = shelf.boxes.copy()
    moved.boxes[24:] = [0, 0, 0.1, 0.1]
    assert same(states(moved, weights=halves, recipe=one)[-1].weights, weighted)


def test_the_best_epoch_is_kept(shelf, other_shelf, undisturbed):
    """The best weights are those of the epoch with the highest validation IoU, and give that IoU; without validation, the last."""
    log = undisturbed[-1].log
    best = max(range(3), key=lambda i: log[i]["val_iou"])
    assert same(undisturbed[-1].best, undisturbed[best].weights)
    model = fresh()
    model.load_state_dict(undisturbed[-1].best)
    assert mean_iou(model, other_shelf, other_shelf.boxes, CPU.at(16)) == pytest.approx(log[best]["val_iou"], abs=1e-6)
    last = states(shelf, recipe=Recipe(2, 16))[-1]
    assert same(last.best, last.weights)
    assert "val_iou" not in last.log[-1]


def test_it_learns(shelf, other_shelf):
    """A few epochs on bright rectangles bring the loss down and the IoU up."""
    log = states(shelf, shelf, recipe=Recipe(14, 16))[-1].log
    assert log[-1]["loss"] < 0.6 * log[0]["loss"]
    assert max(entry["val_iou"] for entry in log) > 0.5


def test_fewer_samples_than_a_batch(shelf):
    """A training set smaller than one batch is trained on whole."""
    few = type(shelf)(5)
    recipe = Recipe(1, 64)
    (state,) = trained(BoxObjective(fresh(), few, few.boxes, np.ones(5, np.float32), recipe, CPU), None, recipe, CPU)
    assert np.isfinite(state.log[0]["loss"])


def test_the_log_tells_loss_and_rate(shelf, undisturbed):
    """Each epoch has its loss and the rate of its last step; that of validation where it is asked for, and falls as the net learns."""
    assert [list(entry) for entry in undisturbed[-1].log] == [["epoch", "lr", "loss", "val_iou"]] * 3
    lrs = [entry["lr"] for entry in undisturbed[-1].log]
    assert lrs[0] > lrs[1] > lrs[2] >= 0
    recipe = Recipe(8, 16)
    objective = BoxObjective(fresh(), shelf, shelf.boxes, ONES, recipe, CPU)
    end = [*trained(objective, (shelf, shelf.boxes), recipe, CPU, measures_loss=True)][-1]
    assert list(end.log[0]) == ["epoch", "lr", "loss", "val_loss", "val_iou"]
    assert end.log[-1]["val_loss"] < 0.8 * end.log[0]["val_loss"]
    assert len(end.seconds) == 8 and min(end.seconds) > 0


def test_validation_loss_is_that_of_training(shelf):
    """The validation loss is the loss of the net for images that are not augmented, and leaves the training as it was."""
    objective = BoxObjective(fresh(), shelf, shelf.boxes, ONES, RECIPE, CPU)
    model = objective.model.train()
    losses, reached = objective.validated(shelf, shelf.boxes)
    assert reached == pytest.approx(mean_iou(model, shelf, shelf.boxes, CPU), abs=1e-6)
    assert model.training
    model.eval()
    with torch.no_grad():
        raw = model.net(model.normalised(torch.from_numpy(shelf.images)))
        by_hand = model.training_loss(raw, torch.from_numpy(shelf.boxes))
    np.testing.assert_allclose(losses, by_hand, atol=1e-5)


PATIENT = Recipe(20, 16, rate=0.0, patience=2)  # at a rate of 0 no epoch is better than the first but by its batch norm


@pytest.mark.parametrize("stopped_after", [2, 4])
def test_patience_ends_a_training_early(shelf, other_shelf, stopped_after):
    """A training that gets no better ends early, and stopped before or after its patience ran out, it goes on to the same end."""
    whole = states(shelf, other_shelf, recipe=PATIENT)
    assert len(whole) < 20
    ious = [entry["val_iou"] for entry in whole[-1].log]
    best = ious.index(max(ious)) + 1
    assert len(whole) == best + 2 + -(-(best + 2) // 5)
    end = states(shelf, other_shelf, recipe=PATIENT, resume=whole[min(stopped_after, len(whole)) - 1])
    assert (end or whole)[-1].log == whole[-1].log
    assert states(shelf, other_shelf, recipe=PATIENT, resume=whole[-1]) == []


def test_frozen_weights_stay(shelf):
    """Frozen layers keep every bit, statistics of their norms included; the others move. With all frozen there is nothing to train."""
    model = fresh()
    freeze(model, "backbone")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after = states(shelf, recipe=Recipe(1, 16), model=model)[-1].weights
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"net.6.2.weight", "net.6.2.bias"}
    with pytest.raises(UsageError, match="all weights are frozen: nothing is left to train; freeze fewer layers"):
        states(shelf, model=fresh().requires_grad_(False))


def test_a_diverged_training_says_so(shelf):
    """A loss that is no longer finite ends the training with a remedy, instead of a checkpoint of NaN."""
    with pytest.raises(HtlError, match="diverged in epoch 1: the loss is nan; try a lower learning rate"):
        states(shelf, weights=np.full(48, np.nan, np.float32))
