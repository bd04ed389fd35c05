"""Pruning a copy of a localizer."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.nn.utils import prune

from htltools.core.nets.factory import architecture, build
from htltools.core.pruning.unstructured import (
    baked,
    largest_magnitudes,
    prunable,
    prunable_count,
    prune_weights,
    random_choice,
    recalibrate,
    sparsity_of,
)
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.loop import trained
from htltools.core.training.objectives.box import BoxObjective
from htltools.core.training.schedule import Recipe
from htltools.errors import UsageError

METHODS = ("l1", "layer-l1", "random")
CPU = Runtime("cpu")


def state_bytes(model) -> dict[str, bytes]:
    """The state of a model, bit for bit."""
    return {name: tensor.detach().numpy().tobytes() for name, tensor in model.state_dict().items()}


def zeros(model):
    """Where the prunable weights are zero, layer by layer."""
    return [(module.weight == 0).clone() for module, _ in prunable(model)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.9, 0.999])
def test_achieved_is_asked_up_to_rounding(localizer, method, sparsity):
    """The share of zeros is the share asked for, to one weight of a layer."""
    layers = len(prunable(localizer)) if method == "layer-l1" else 1
    achieved = sparsity_of(baked(prune_weights(localizer, method, sparsity)))
    assert achieved == pytest.approx(sparsity, abs=(layers / 2 + 0.5) / prunable_count(localizer))


@pytest.mark.parametrize("method", METHODS)
def test_the_dense_model_is_untouched(localizer, method):
    """Pruning works on a copy: the dense model keeps every bit, and no hook."""
    before = state_bytes(localizer)
    pruned = prune_weights(localizer, method, 0.7)
    assert state_bytes(localizer) == before
    baked(pruned)
    assert state_bytes(localizer) == before
    assert pruned.state_dict().keys() == localizer.state_dict().keys()


def test_nothing_cut_changes_nothing(localizer):
    """At sparsity 0 the pruned copy has the weights of the dense one, bit for bit."""
    pruned = baked(prune_weights(localizer, "l1", 0.0))
    assert state_bytes(pruned) == state_bytes(localizer)


def test_l1_cuts_the_smallest_of_all(localizer):
    """Global L1: no weight that went is larger than one that stayed."""
    pruned = baked(prune_weights(localizer, "l1", 0.6))
    before = torch.cat([module.weight.detach().flatten() for module, _ in prunable(localizer)]).abs()
    gone = torch.cat([mask.flatten() for mask in zeros(pruned)])
    assert before[gone].max() <= before[~gone].min()


@given(
    weights=st.lists(arrays(np.float32, st.integers(1, 40), elements=st.floats(-9, 9, width=32)), min_size=1, max_size=4),
    share=st.floats(0, 0.999),
)
def test_exactly_as_many_go_as_asked(weights, share):
    """The count is exact, none that goes is larger than one that stays, and of equal ones the first go, whatever the layers."""
    kept, magnitudes = np.concatenate(largest_magnitudes(weights, share)), np.abs(np.concatenate(weights))
    expected = np.ones(len(kept), bool)
    expected[np.argsort(magnitudes, kind="stable")[: round(share * len(kept))]] = False
    assert (kept == expected).all()


@pytest.mark.parametrize("share", [0.0001, 0.5, 0.8, 0.9999])
def test_a_sample_that_misleads_costs_time_alone(share):
    """Where every weight that the sample sees is large, and in layers of very different scale, the count is exact all the same."""
    random = np.random.default_rng(0)
    weights = [scale * random.standard_normal((300, 127)).astype(np.float32) for scale in (1e-3, 1, 50)]
    weights[1][:, 0] = 1e6  # the stride of the sample
    magnitudes = np.sort(np.abs(np.concatenate([weight.ravel() for weight in weights])))
    count = round(share * len(magnitudes))
    kept = np.concatenate([stays.ravel() for stays in largest_magnitudes(weights, share)])
    assert np.count_nonzero(~kept) == count
    assert np.abs(np.concatenate([weight.ravel() for weight in weights]))[~kept].max() <= magnitudes[count]


@pytest.mark.parametrize("sparsity", [0.0, 0.31, 0.8, 0.95])
def test_l1_is_what_torch_cuts(localizer, sparsity):
    """The weights that go are those of torch's own global pruning."""
    theirs = copy.deepcopy(localizer)
    prune.global_unstructured(prunable(theirs), prune.L1Unstructured, amount=sparsity)
    assert all(torch.equal(a, b) for a, b in zip(zeros(baked(theirs)), zeros(baked(prune_weights(localizer, "l1", sparsity)))))


def test_the_order_of_ties_does_not_depend_on_memory():
    """How weights lie in memory, as channels-last training leaves them, does not matter to which of equal ones go."""
    weight = torch.ones(4, 3, 2, 2).to(memory_format=torch.channels_last).numpy()
    assert largest_magnitudes([weight], 0.5)[0].flatten().tolist() == [False] * 24 + [True] * 24


def test_layer_l1_cuts_the_same_share_of_each_layer(localizer):
    """Layer-wise L1: each layer loses its own smallest weights."""
    for (module, _), gone in zip(prunable(localizer), zeros(baked(prune_weights(localizer, "layer-l1", 0.6)))):
        assert gone.float().mean().item() == pytest.approx(0.6, abs=1 / gone.numel())
        assert module.weight.detach().abs()[gone].max() <= module.weight.detach().abs()[~gone].min()


def test_random_is_reproducible_and_leaves_the_random_state_alone(localizer):
    """The same seed cuts the same weights, another one others, and torch's own random numbers go on as if nothing had been drawn."""
    state = torch.get_rng_state()
    first, second, third = (state_bytes(baked(prune_weights(localizer, "random", 0.5, seed))) for seed in (1, 1, 2))
    assert first == second
    assert first != third
    assert torch.equal(torch.get_rng_state(), state)


def test_random_does_not_depend_on_the_initial_weights(localizer):
    """With the seed that drew the initial weights a random cut takes as many that are positive as negative, in every layer.

    Drawn by torch's generator it kept nearly all that began negative and no other, and the hidden layer before the head never fired.
    """
    pruned = prune_weights(localizer, "random", 0.5, 0)  # the seed of the fixture
    for module, _ in prunable(pruned):
        if module.weight.numel() > 1000:
            kept = module.weight[module.weight != 0]
            assert (kept > 0).float().mean().item() == pytest.approx(0.5, abs=0.06)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), np.uint8))
    hidden = []
    pruned.prediction_layers[0].register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0]))
    with torch.no_grad():
        pruned.eval()(images)
    assert (hidden[0] > 0).any(0).float().mean() > 0.1  # of the hidden units


@pytest.mark.parametrize("sparsity", [0.3, 0.9])
def test_random_cuts_the_same_share_of_each_layer_and_leaves_the_head(localizer, sparsity):
    """The head loses nothing, the others the same share each, a little more than asked for, so that the count is exact."""
    pruned = baked(prune_weights(localizer, "random", sparsity))
    head = {id(layer) for layer in pruned.prediction_layers}
    share = round(sparsity * prunable_count(pruned)) / sum(m.weight.numel() for m, _ in prunable(pruned) if id(m) not in head)
    for module, _ in prunable(pruned):
        gone = int((module.weight == 0).sum())
        assert gone == pytest.approx(0 if id(module) in head else share * module.weight.numel(), abs=1)
    assert sum(int((m.weight == 0).sum()) for m, _ in prunable(pruned)) == round(sparsity * prunable_count(pruned))


def test_random_cuts_the_head_where_there_is_too_little_else():
    """Of a net whose weights are nearly all in the prediction layer every layer loses its share."""
    kept = random_choice([np.ones(4), np.ones(100)], [False, True], 0.5, 0)
    assert [int(stays.sum()) for stays in kept] == [2, 50]


@pytest.mark.parametrize("name, task, more", [
    ("compact", "box", {}),
    ("mobilenet_v3_small", "box", {}),
    ("compact_unet", "mask", {}),
    ("compact", "class_map", {"classes": ["a", "b"]}),
    ("compact_fcos", "detect", {"classes": ["a"], "most": 5}),
    ("fasterrcnn_mobilenet_v3_large_320_fpn", "detect", {"classes": ["a"], "most": 5}),
])  # fmt: skip
def test_the_head_of_every_task_is_left_whole(name, task, more):
    """The layers whose outputs are the prediction keep their weights in a random cut, whatever the task."""
    pruned = baked(prune_weights(build(architecture(name, (64, 64, 3), task, **more)), "random", 0.7))
    last = pruned.prediction_layers
    assert last and all(layer.weight.all() for layer in last)
    assert sparsity_of(pruned) == pytest.approx(0.7, abs=1e-4)


def test_zeros_are_held_through_finetuning(localizer, shelf):
    """What was cut stays zero while the rest trains on, and the rest does train."""
    pruned = prune_weights(localizer, "l1", 0.8)
    cut = zeros(pruned)
    kept_before = pruned.net[0][0].weight.detach().clone()
    recipe = Recipe(2, 16)
    for _ in trained(BoxObjective(pruned, shelf, shelf.boxes, np.ones(48, np.float32), recipe, CPU), None, recipe, CPU):
        pass
    kept_after = pruned.net[0][0].weight.detach().clone()
    after = zeros(baked(pruned))
    assert all((now | ~before).all() for before, now in zip(cut, after))
    assert not torch.equal(kept_before, kept_after)
    assert sparsity_of(pruned) == pytest.approx(0.8, abs=0.001)


def test_recalibration_renews_statistics_and_no_weight(localizer, shelf):
    """Batch-norm recovery changes running means and variances, and nothing that was learned; the same images give the same ones."""
    pruned = baked(prune_weights(localizer, "l1", 0.5))
    parameters = [p.detach().clone() for p in pruned.parameters()]
    before = pruned.net[0][1].running_mean.clone()
    recalibrate(pruned, (torch.from_numpy(shelf.images[i : i + 16]) for i in range(0, 48, 16)))
    first = state_bytes(pruned)
    assert not pruned.training
    assert all(torch.equal(a, b) for a, b in zip(parameters, pruned.parameters()))
    assert not torch.equal(before, pruned.net[0][1].running_mean)
    recalibrate(pruned, (torch.from_numpy(shelf.images[i : i + 16]) for i in range(0, 48, 16)))
    assert state_bytes(pruned) == first


def test_recalibration_needs_something_to_compare():
    """One image of which the net leaves one place has no variance: said in words, with a remedy."""
    tiny = build(architecture("compact", (8, 8, 3)))
    with pytest.raises(UsageError, match="batch norm has no variance in a batch of one image.*or --recover none"):
        recalibrate(tiny, [torch.zeros(1, 8, 8, 3, dtype=torch.uint8)])


def test_unknown_methods_are_refused(localizer):
    """A method that does not exist is an error, never a silent default."""
    with pytest.raises(ValueError, match="no method 'l2'"):
        prune_weights(localizer, "l2", 0.5)
