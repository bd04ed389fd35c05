"""The batches of an epoch."""

import numpy as np
import pytest
import torch

from htltools.core.runtime.runtime import Runtime
from htltools.core.training.loop import trained
from htltools.core.training.objectives.box import BoxObjective
from htltools.core.training.schedule import Recipe
from htltools.errors import UsageError


@pytest.mark.parametrize(("batch_size", "sizes"), [(32, [24, 24]), (47, [24, 24]), (20, [16, 16, 16]), (13, [12] * 4), (64, [48])])
def test_every_sample_comes_once(shelf, localizer, batch_size, sizes):
    """Whatever the size of batches, an epoch has every sample once, in batches of nearly one size."""
    objective = BoxObjective(localizer, shelf, shelf.boxes, np.ones(48, np.float32), Recipe(1, batch_size), Runtime("cpu"))
    batches = objective.epoch_samples(torch.Generator().manual_seed(0))
    assert sorted(torch.cat(batches).tolist()) == list(range(48))
    assert [len(batch) for batch in batches] == sizes
    assert len(batches) == objective.steps
    assert len(objective.epoch_changes(torch.Generator())) == 48


class First:
    """The first samples of a shelf."""

    def __init__(self, shelf, count):
        self.images, self.shape = shelf.images[:count], (count, *shelf.shape[1:])

    def batch(self, chosen):
        """The chosen images."""
        return self.images[chosen]


def test_no_batch_of_one(shelf, localizer):
    """The one sample that a last batch would have joins the others."""
    weights = np.ones(33, np.float32)
    objective = BoxObjective(localizer, First(shelf, 33), shelf.boxes[:33], weights, Recipe(1, 2), Runtime("cpu"))
    assert sorted({len(batch) for batch in objective.epoch_samples(torch.Generator())}) == [2, 3]


def test_a_net_of_one_place_and_one_image():
    """Where batch norm has a single value per channel, the error says what to do."""
    from htltools.core.nets.factory import architecture, build

    torch.manual_seed(0)
    model, recipe = build(architecture("resnet18", (32, 32, 3))), Recipe(1, 1)
    images = First(type("Dark", (), {"images": np.zeros((2, 32, 32, 3), np.uint8), "shape": (2, 32, 32, 3)}), 2)
    objective = BoxObjective(model, images, np.full((2, 4), 0.5, np.float32), np.ones(2, np.float32), recipe, Runtime("cpu"))
    with pytest.raises(UsageError, match="batch norm has nothing to compare in a batch of one image.*--batch-size 2 or more"):
        list(trained(objective, None, recipe, Runtime("cpu")))
