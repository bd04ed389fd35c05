"""The pruned branch of a net in training."""

import numpy as np
import pytest
import torch

from htltools.core.pruning.unstructured import baked, prune_weights
from htltools.core.training.objectives.pruned_branch import PrunedBranch


@pytest.fixture
def x():
    """Eight normalised images of noise."""
    return torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_without_a_cut_it_is_the_net(localizer, x):
    """A branch of sparsity 0 predicts as the net does."""
    localizer.eval()
    assert torch.equal(PrunedBranch(localizer, 0.0)(x), localizer.net(x))


def test_it_is_the_net_pruned(localizer, x):
    """A branch predicts as a copy of the net that was pruned to that sparsity by global magnitude."""
    localizer.eval()
    pruned = baked(prune_weights(localizer, "l1", 0.7)).eval()
    torch.testing.assert_close(PrunedBranch(localizer, 0.7)(x), pruned.net(x))


def test_statistics_of_its_own(localizer, x):
    """A training pass through the branch moves its batch-norm statistics and leaves those of the net; one through the net the reverse."""
    branch = PrunedBranch(localizer.train(), 0.5)
    before = {name: buffer.clone() for name, buffer in localizer.net.named_buffers()}
    branch(x)
    assert all(torch.equal(before[name], buffer) for name, buffer in localizer.net.named_buffers())
    moved = {name: tensor.clone() for name, tensor in branch.statistics.items()}
    assert not torch.equal(moved["0.1.running_mean"], before["0.1.running_mean"])
    localizer.net(x)
    assert all(torch.equal(moved[name], tensor) for name, tensor in branch.statistics.items())


def test_only_what_is_kept_learns(localizer, x):
    """The gradient of the branch reaches the weights that are kept, and is zero at those that are cut."""
    branch = PrunedBranch(localizer.train(), 0.6)
    branch(x).square().sum().backward()
    weights = dict(localizer.net.named_parameters())
    assert all(not weights[name].grad[~kept].any() for name, kept in branch.kept.items())
    assert any(weights[name].grad[kept].any() for name, kept in branch.kept.items())


def test_the_cut_follows_the_weights(localizer):
    """Renewed, the mask cuts what is smallest now; with a seed it cuts as much at random, the same for the same seed."""
    branch = PrunedBranch(localizer, 0.5)
    before = branch.kept["0.0.weight"].clone()
    with torch.no_grad():
        localizer.net[0][0].weight[before] *= 1e-6
    branch.renew()
    assert not (branch.kept["0.0.weight"] & before).any()
    counts = []
    for seed in 1, 1, 2:
        branch.renew(seed)
        counts.append(sum(int(kept.sum()) for kept in branch.kept.values()))
        np.testing.assert_allclose(counts[-1] / sum(kept.numel() for kept in branch.kept.values()), 0.5, atol=1e-3)
    assert len(set(counts)) == 1


def test_the_random_cut_leaves_the_head_and_takes_the_same_of_each_layer(localizer, x):
    """Cut at random, every layer but the head loses its share, and the branch tells images apart: a fair control."""
    branch = PrunedBranch(localizer.train(), 0.8)
    branch.renew(0)  # the seed of the initial weights
    shares = {name: kept.float().mean().item() for name, kept in branch.kept.items()}
    assert shares.pop("6.2.weight") == 1
    assert all(share == pytest.approx(0.2, abs=0.01) for share in shares.values())
    with torch.no_grad():
        assert branch(x).std(0).min() > 1e-3


def test_it_resumes_from_its_state(localizer, x):
    """A branch with the state of another one predicts as that one, bit for bit."""
    localizer.net.train()
    first = PrunedBranch(localizer, 0.5)
    first.renew(3)
    first(x)
    second = PrunedBranch(localizer, 0.5)
    second.load_state_dict({name: tensor.clone() for name, tensor in first.state_dict().items()})
    localizer.net.eval()
    assert torch.equal(first(x), second(x))
