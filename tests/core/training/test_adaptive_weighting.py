"""Attention while a localizer trains: hardness measured anew."""

import numpy as np
import pytest
import torch

from htltools.core.geometry.boxes import box_losses
from htltools.core.hardness.scores import disagreement
from htltools.core.pruning.unstructured import sparsity_of
from htltools.core.runtime.predict import predict_all
from htltools.core.runtime.runtime import Runtime
from htltools.core.training.adaptive_weighting import Attention, hardness_now, pruned_copy

CPU = Runtime("cpu")
COLUMNS = "pruned_loss", "pruned_disagreement", "pruned_shift", "loss", "random"


def test_when_it_is_due():
    """Adaptive attention begins after as many epochs as it renews by, replay with the second half; both renew; the others never measure."""
    adaptive, replay = Attention("adaptive", renew=3), Attention("replay", renew=2)
    assert [epoch for epoch in range(10) if adaptive.is_due(epoch, 10)] == [3, 6, 9]
    assert [epoch for epoch in range(10) if replay.is_due(epoch, 10)] == [5, 7, 9]
    assert not any(Attention(way).is_due(epoch, 10) for way in ("none", "damaged") for epoch in range(10))


@pytest.mark.parametrize("by", COLUMNS)
def test_every_column(localizer, shelf, by):
    """Each column is a finite number for each sample, the same for the same model and seed; the model stays as it was."""
    before = {name: tensor.clone() for name, tensor in localizer.state_dict().items()}
    hardness = hardness_now(localizer, shelf, shelf.boxes, Attention("adaptive", by), 1, CPU)
    assert hardness.shape == (48,)
    assert np.isfinite(hardness).all()
    np.testing.assert_array_equal(hardness, hardness_now(localizer, shelf, shelf.boxes, Attention("adaptive", by), 1, CPU))
    assert all(torch.equal(before[name], tensor) for name, tensor in localizer.state_dict().items())
    assert localizer.training


def test_columns_are_those_of_score(localizer, shelf):
    """`loss` is that of the model's own predictions; the pruned columns are those of a copy without a share of its weights."""
    cut = pruned_copy(localizer, shelf, 0.6, 1, CPU)
    assert sparsity_of(cut) == pytest.approx(0.6, abs=1e-3)
    dense, pruned = predict_all([localizer, cut], shelf, CPU.at(16))
    for by, expected in {
        "loss": box_losses(dense, shelf.boxes),
        "pruned_disagreement": disagreement(dense, pruned),
        "pruned_loss": box_losses(pruned, shelf.boxes),
    }.items():
        hardness = hardness_now(localizer, shelf, shelf.boxes, Attention("adaptive", by, sparsity=0.6), 1, CPU)
        np.testing.assert_allclose(hardness, expected, rtol=1e-4, atol=1e-5)


def test_no_other_column(localizer, shelf):
    """A column that needs more than the models is refused."""
    with pytest.raises(ValueError, match="no column 'grand'"):
        hardness_now(localizer, shelf, shelf.boxes, Attention("adaptive", "grand"), 1, CPU)
