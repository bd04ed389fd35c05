"""Full supervision, with attention while training."""

import numpy as np
import pytest
import torch

from htltools.core.nets.factory import architecture, build
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.adaptive_weighting import Attention
from htltools.core.training.loop import trained
from htltools.core.training.objectives.box import BoxObjective
from htltools.core.training.schedule import Recipe

CPU = Runtime("cpu")
ONES = np.ones(48, np.float32)
RECIPE = Recipe(epochs=4, batch_size=16)
WAYS = [Attention(way, by, renew=1, sparsity=0.5) for way in ("adaptive", "replay", "damaged") for by in ("pruned_loss", "loss", "random")]


def objective(shelf, attention, weights=ONES):
    """A training of a fresh net."""
    torch.manual_seed(0)
    return BoxObjective(build(architecture("compact", (32, 32, 3))), shelf, shelf.boxes, weights, RECIPE, CPU, attention=attention)


def states(shelf, attention, resume=None):
    """The states after each epoch."""
    return list(trained(objective(shelf, attention), None, RECIPE, CPU, resume=resume))


def same(first, second):
    """Whether two sets of weights agree in every bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def plain(shelf):
    """The states of a training without attention."""
    return states(shelf, Attention())


@pytest.mark.parametrize("attention", WAYS, ids=lambda how: f"{how.way}-{how.by}")
def test_every_way_resumes_and_differs(shelf, plain, attention):
    """Each way, and each of its controls, trains other weights than none, and a training that stopped ends as an undisturbed one."""
    undisturbed = states(shelf, attention)
    assert not same(undisturbed[-1].weights, plain[-1].weights)
    resumed = states(shelf, attention, resume=states(shelf, attention)[2])
    assert same(resumed[-1].weights, undisturbed[-1].weights)
    assert resumed[-1].log == undisturbed[-1].log


def test_the_first_epochs_do_not_attend(shelf, plain):
    """Before hardness is measured, a training is that without attention: as many epochs as it renews by, or the first phase."""
    for attention in Attention("adaptive", renew=2), Attention("replay", renew=2):
        begun = states(shelf, attention)
        assert same(begun[1].weights, plain[1].weights)
        assert not same(begun[2].weights, plain[2].weights)


def test_adaptive_weights(shelf):
    """The hard ones weigh 1 + boost against the others, times the weights of the rows, and the mean weight stays."""
    rows = np.where(np.arange(48) < 24, 1.5, 0.5).astype(np.float32)
    learning = objective(shelf, Attention("adaptive", top=0.25, boost=2), rows)
    np.testing.assert_array_equal(learning.epoch_weights(), rows)
    learning.hardness = np.arange(48.0)
    weights = learning.epoch_weights()
    assert weights.mean() == pytest.approx(1)
    np.testing.assert_allclose(weights[36:] / weights[35], 3, rtol=1e-6)
    np.testing.assert_allclose(weights[0] / weights[24], 3, rtol=1e-6)


def test_replay_draws_the_hard_more_often(shelf):
    """In the second phase hard samples come about 1 + boost times as often; a batch is as large as ever."""
    learning = objective(shelf, Attention("replay", top=0.25, boost=3))
    learning.hardness = np.arange(48.0)
    drawn = torch.cat([batch for i in range(200) for batch in learning.epoch_samples(torch.Generator().manual_seed(i))])
    assert len(drawn) == 200 * 48
    times = torch.bincount(drawn, minlength=48).double()
    assert float(times[36:].mean() / times[:36].mean()) == pytest.approx(4, rel=0.1)


def test_an_undamaged_branch_is_a_second_view(shelf):
    """The control `loss` of damaged cuts nothing; `pruned_loss` cuts what is smallest, `random` as much at random."""
    masks = [objective(shelf, Attention("damaged", by, sparsity=0.5)) for by in ("loss", "pruned_loss", "random")]
    for learning in masks:
        learning.begin_epoch(0, 0)
    shares = [np.mean([float(kept.float().mean()) for kept in learning.branch.kept.values()]) for learning in masks]
    assert shares[0] == 1
    assert all(share < 0.9 for share in shares[1:])
    assert not torch.equal(masks[1].branch.kept["0.0.weight"], masks[2].branch.kept["0.0.weight"])
