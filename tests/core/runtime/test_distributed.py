"""Processes that share a job."""

import os
import socket

import numpy as np
import pytest
import torch
from torch import multiprocessing, nn

from htltools.core.nets.factory import architecture, build
from htltools.core.runtime import distributed
from htltools.core.runtime.predict import predict_all
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.loop import trained
from htltools.core.training.objectives.box import BoxObjective
from htltools.core.training.schedule import Recipe
from htltools.errors import UsageError

CPU = Runtime("cpu")
COUNT = 42  # samples: no multiple of anything


class Shelf:
    """Random images."""

    def __init__(self):
        random = np.random.default_rng(0)
        self.images = random.integers(0, 256, (COUNT, 32, 32, 3), np.uint8)
        self.shape = self.images.shape
        self.boxes = np.sort(random.random((COUNT, 2, 2)), 1).reshape(COUNT, 4).astype(np.float32)

    def batch(self, chosen):
        return self.images[chosen]


def one_step(batch_size: int = 21):
    """State after one epoch of two steps at a rate that hardly moves, and predictions of the model."""
    shelf = Shelf()
    torch.manual_seed(0)
    model = build(architecture("compact", (32, 32, 3)))
    weights = np.linspace(0.5, 1.5, COUNT, dtype=np.float32)
    recipe = Recipe(1, batch_size, rate=1e-6, decay=0)
    (state,) = trained(BoxObjective(model, shelf, shelf.boxes, weights, recipe, CPU), (shelf, shelf.boxes), recipe, CPU)
    return state, predict_all([model], shelf, CPU.at(5))


def one_rank(rank: int, count: int, port: int, folder: str) -> None:
    """A process of several."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    assert distributed.join(torch.device("cpu")) == torch.device("cpu")
    state, predictions = one_step()
    torch.save([*vars(state).values(), predictions], f"{folder}/{rank}.pt")


def together(folder, count: int = 2):
    """What each of several processes has in the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(one_rank, (count, port, str(folder)), count)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(count)]


@pytest.fixture(scope="module")
def alone():
    """What one process has in the end."""
    return one_step()


def test_several_train_as_one(alone, tmp_path):
    """Two processes that share uneven batches end with gradients, statistics, loss, predictions and record of one, up to rounding."""
    state, predictions = alone
    first, second = together(tmp_path)
    epoch, weights, optimizer, best, log, state_dict, _, shared_predictions = first
    for name, tensor in state.weights.items():
        assert torch.allclose(weights[name].double(), tensor.double(), rtol=1e-4, atol=1e-5), name
    for place, moments in state.optimizer["state"].items():
        expected, reached = moments["exp_avg"], optimizer["state"][place]["exp_avg"]
        assert (reached - expected).norm() <= 2e-3 * expected.norm() + 1e-9, place
    assert log[0]["loss"] == pytest.approx(state.log[0]["loss"], abs=2e-6)
    assert log[0]["val_iou"] == pytest.approx(state.log[0]["val_iou"], abs=1e-5)
    assert np.allclose(shared_predictions, predictions, atol=1e-5)
    assert all(torch.allclose(state_dict[name], state.objective[name], atol=1e-4, equal_nan=True) for name in ("iou", "margin"))
    assert all(torch.equal(state_dict[name], second[5][name]) for name in ("iou", "margin"))
    assert all(torch.equal(tensor, second[1][name]) for name, tensor in weights.items())


def test_a_batch_too_small_to_share(monkeypatch):
    """More processes than samples in a batch are refused."""
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    with pytest.raises(UsageError, match="a batch of 1 cannot be shared by 2 processes"):
        one_step(batch_size=1)


def test_alone():
    """Without torchrun there is one process, which takes every batch."""
    assert (distributed.is_active(), distributed.world_size(), distributed.process_rank()) == (False, 1, 0)
    assert distributed.share([1, 2, 3]) == [1, 2, 3]
    assert torch.equal(distributed.summed(torch.ones(2)), torch.ones(2))
    net = nn.Linear(1, 1)
    assert distributed.data_parallel(net, torch.device("cpu")) is net


def test_shared_batch_norm_of_one_is_batch_norm():
    """Over the batch of one process it is torch's own: output, gradients and statistics."""
    torch.manual_seed(0)
    norms = distributed.SharedBatchNorm(5), nn.BatchNorm2d(5)
    x = torch.randn(7, 5, 4, 3) * 3 + 2
    results = []
    for norm in norms:
        nn.init.constant_(norm.weight, 1.5)
        y = x.clone().requires_grad_()
        (norm(y) ** 3).sum().backward()
        results.append([norm(y), y.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var])
    for ours, theirs in zip(*results):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-3)
    assert torch.allclose(*(norm.eval()(x) for norm in norms), atol=1e-5)
