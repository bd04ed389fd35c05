"""Semi-supervision by a mean teacher."""

import numpy as np
import pytest
import torch

from htltools.core.nets.factory import architecture, build
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.loop import trained
from htltools.core.training.objectives.mean_teacher import MeanTeacher, PseudoLabels, ema_update, mirror_images, repeated_order
from htltools.core.training.schedule import Recipe

CPU = Runtime("cpu")
USES = "teacher", "attend", "suppress", "consistency", "none"
RECIPE = Recipe(epochs=3, batch_size=8)
USED = [PseudoLabels(use, renew=2) for use in USES] + [
    PseudoLabels(use, by) for use in ("attend", "suppress") for by in ("loss", "random", "pruned_shift")
]


def objective(shelf, other_shelf, how, recipe=RECIPE):
    """A training of a fresh net on 16 labelled and 48 unlabelled images."""
    torch.manual_seed(0)
    labelled = other_shelf, other_shelf.boxes, np.ones(16, np.float32)
    return MeanTeacher(build(architecture("compact", (32, 32, 3))), labelled, shelf, recipe, how, CPU)


def states(shelf, other_shelf, how, resume=None):
    """The states after each epoch."""
    return list(trained(objective(shelf, other_shelf, how), (shelf, shelf.boxes), RECIPE, CPU, resume=resume))


def same(first, second):
    """Whether two sets of weights agree in every bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("how", USED, ids=lambda how: f"{how.use}-{how.by}")
def test_every_use_trains_and_resumes(shelf, other_shelf, how):
    """Each use of unlabelled samples trains to a finite loss, and one that stopped ends as an undisturbed one, teacher and all."""
    undisturbed = states(shelf, other_shelf, how)
    assert np.isfinite([entry["loss"] for entry in undisturbed[-1].log]).all()
    resumed = states(shelf, other_shelf, how, resume=states(shelf, other_shelf, how)[0])
    assert same(resumed[-1].weights, undisturbed[-1].weights)
    assert same(resumed[-1].best, undisturbed[-1].best)
    assert resumed[-1].log == undisturbed[-1].log


def test_all_uses_take_the_same_steps(shelf, other_shelf):
    """An epoch has the steps of the larger set, whatever the use: otherwise a control would train for longer or shorter."""
    assert {objective(shelf, other_shelf, how).steps for how in USED} == {6}


def test_the_teacher_is_kept(shelf, other_shelf):
    """What is kept is the teacher, the moving average of the student, and not the student."""
    learning = objective(shelf, other_shelf, PseudoLabels("teacher"))
    (*_, last) = trained(learning, None, RECIPE, CPU)
    assert same(last.best, learning.teacher.module.state_dict())
    assert not same(last.best, last.weights)


def test_none_learns_from_labels_alone(shelf, other_shelf):
    """Without a use the unlabelled images change nothing."""
    others = type(shelf)(48, seed=9)
    ends = [states(images, other_shelf, PseudoLabels("none"))[-1].weights for images in (shelf, others)]
    assert same(*ends)


def test_pseudo_label_weights(shelf, other_shelf):
    """Attend doubles the weight of the top share, suppress takes it away, the teacher trusts all; the mean is 1."""
    own, lot = torch.arange(10.0), torch.arange(10.0).flip(0)
    weights = {}
    for use, by in ("attend", "loss"), ("suppress", "loss"), ("attend", "random"), ("teacher", "pruned_disagreement"):
        weights[use, by] = objective(shelf, other_shelf, PseudoLabels(use, by)).pseudo_label_weights(None, None, own, lot)
        assert float(weights[use, by].mean()) == pytest.approx(1)
    assert torch.equal(weights["teacher", "pruned_disagreement"], torch.ones(10))
    np.testing.assert_allclose(weights["attend", "loss"], [1 / 1.3] * 7 + [2 / 1.3] * 3, rtol=1e-6)
    np.testing.assert_allclose(weights["suppress", "loss"], [1 / 0.7] * 7 + [0] * 3, rtol=1e-6)
    np.testing.assert_allclose(weights["attend", "random"], [2 / 1.3] * 3 + [1 / 1.3] * 7, rtol=1e-6)


def test_moving_average():
    """The teacher starts as the student, follows fast at first and slowly later; what counts is copied."""
    teacher, student = [torch.zeros(2)], [torch.ones(2)]
    ema_update(teacher, student, 0)
    assert float(teacher[0][0]) == pytest.approx(0.9)
    teacher = [torch.zeros(2)]
    ema_update(teacher, student, 10_000)
    assert float(teacher[0][0]) == pytest.approx(0.01)
    counted = [torch.tensor(3)]
    ema_update(counted, [torch.tensor(7)], 5)
    assert counted == [torch.tensor(7)]


def test_repeated_order():
    """Fewer samples than places are repeated evenly; more are drawn without repeat."""
    few = repeated_order(5, 24, torch.Generator().manual_seed(0))
    assert set(torch.bincount(few).tolist()) == {4, 5}
    assert len(set(repeated_order(50, 24, torch.Generator().manual_seed(0)).tolist())) == 24


def test_mirrored():
    """Images are mirrored along x and y, each where it should be."""
    image = torch.arange(6, dtype=torch.uint8).view(1, 2, 3, 1).expand(3, -1, -1, -1)
    mirrored = mirror_images(image, torch.tensor([[True, False], [False, True], [False, False]]))[..., 0]
    assert mirrored.tolist() == [[[2, 1, 0], [5, 4, 3]], [[3, 4, 5], [0, 1, 2]], [[0, 1, 2], [3, 4, 5]]]
