"""Disagreement under dropout."""

import numpy as np
import pytest
import torch

from htltools.core.hardness.mc_dropout import PASSES, RATE, dropout_disagreement, dropout_masks
from htltools.core.hardness.scores import disagreement


@pytest.fixture
def images(shelf):
    """The images of a shelf as a tensor."""
    return torch.from_numpy(shelf.images)


def test_a_score_depends_on_no_other_image(localizer, images):
    """Order and batch do not matter, and the same seed gives the same scores; another seed gives others, alike in rank."""
    scores = dropout_disagreement(localizer, images, 0)
    assert scores.shape == (48,)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert dropout_disagreement(localizer, images.flip(0), 0)[::-1] == pytest.approx(scores, abs=1e-5)
    assert dropout_disagreement(localizer, images[7:9], 0) == pytest.approx(scores[7:9], abs=1e-5)
    assert (dropout_disagreement(localizer, images, 0) == scores).all()
    assert (dropout_disagreement(localizer, images, 1) != scores).all()


def test_by_hand(localizer, images):
    """It is the mean distance of the box from those of nets whose last layer lacks the features."""
    whole = localizer.eval()(images).detach().numpy()
    head = localizer.net[-1][-1]
    weight = head.weight.data.clone()
    passes = []
    for kept in dropout_masks(head.in_features, 3):
        head.weight.data = weight * kept
        passes.append(disagreement(whole, localizer(images).detach().numpy()))
    head.weight.data = weight
    assert dropout_disagreement(localizer, images, 3) == pytest.approx(np.mean(passes, 0), abs=1e-5)


def test_masks_drop_their_share():
    """Each pass drops about a fifth of the features and makes up for them."""
    drawn = dropout_masks(4096, 0)
    assert drawn.shape == (PASSES, 4096)
    assert sorted(set(drawn.flatten().tolist())) == [0, 1 / (1 - RATE)]
    assert (drawn == 0).float().mean().item() == pytest.approx(RATE, abs=0.02)
    assert not torch.equal(drawn[0], drawn[1])


def test_the_model_stays_as_it_is(localizer, images):
    """Mode and weights are what they were, and no hook is left."""
    localizer.train()
    before = {name: tensor.clone() for name, tensor in localizer.state_dict().items()}
    dropout_disagreement(localizer, images[:4], 0)
    assert localizer.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in localizer.state_dict().items())
    assert not any(module._forward_pre_hooks for module in localizer.modules())
