"""Predictions of localizers."""

import numpy as np
import torch

from htltools.core.nets.factory import architecture, build
from htltools.core.runtime.batches import batches
from htltools.core.runtime.predict import predict_all
from htltools.core.runtime.runtime import Runtime

CPU = Runtime("cpu")


def test_one_pass_predicts_for_every_model(shelf, localizer):
    """Several models in one pass predict as each does alone, in any batch size, and every image is read once."""
    torch.manual_seed(5)
    other = build(architecture("compact", (32, 32, 3)))
    read = []

    class Counting:
        shape = shelf.shape

        def batch(self, chosen):
            read.extend(chosen)
            return shelf.batch(chosen)

    both = predict_all([localizer, other], Counting(), CPU.at(7))
    assert both.shape == (2, 48, 4)
    assert read == list(range(48))
    assert np.allclose(both[1], predict_all([other], shelf, CPU.at(48))[0], atol=1e-5)


def test_nothing_is_changed(shelf, localizer):
    """Predicting leaves weights, buffers, mode and random state as they were."""
    before = {name: tensor.clone() for name, tensor in localizer.state_dict().items()}
    localizer.train()
    state = torch.get_rng_state()
    predict_all([localizer], shelf, CPU.at(16))
    assert localizer.training
    assert all(torch.equal(before[name], tensor) for name, tensor in localizer.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_batches_cover_everything_once():
    """The pieces hold every index once and in order, the last one what is left."""
    assert [piece.tolist() for piece in batches(5, 2)] == [[0, 1], [2, 3], [4]]
    assert batches(0, 2) == []
