"""The norm of each sample's gradient."""

import numpy as np
import pytest
import torch

from htltools.core.geometry.box_loss import box_loss
from htltools.core.hardness import grand
from htltools.core.hardness.grand import gradient_norms
from htltools.core.nets.factory import architecture, build
from htltools.core.nets.localizer import boxes_of


def one_by_one(model, images, annotated):
    """The same norms by a backward pass for each sample."""
    model.eval()
    norms = []
    for image, box in zip(torch.from_numpy(images), torch.from_numpy(annotated)):
        model.zero_grad()
        box_loss(boxes_of(model.net(model.normalised(image[None]))), box[None]).sum().backward()
        norms.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm().item())
    return np.array(norms)


@pytest.mark.parametrize("name", ["compact", "resnet18", "mobilenet_v3_small"])
def test_equals_the_backward_pass_of_each_sample(shelf, name):
    """The norms are those of a loop of backward passes, for nets with batch norm, shortcuts and depthwise layers."""
    torch.manual_seed(0)
    model = build(architecture(name, (32, 32, 3)))
    expected = one_by_one(model, shelf.images[:9], shelf.boxes[:9])
    assert gradient_norms(model, torch.from_numpy(shelf.images[:9]), shelf.boxes[:9]) == pytest.approx(expected, rel=1e-3)


def test_all_at_once_is_one_by_one(localizer, shelf):
    """What a GPU computes, all samples of a chunk in one call, is what a CPU computes one after the other."""
    x, boxes = localizer.normalised(torch.from_numpy(shelf.images[:5])), torch.from_numpy(shelf.boxes[:5])
    localizer.eval()
    assert torch.allclose(*(grand.chunk_norms(localizer, x, boxes, at_once=way) for way in (True, False)), rtol=1e-3)


def test_chunks_change_nothing(localizer, shelf, monkeypatch):
    """However few samples fit in memory at once, the norms are the same, in the order of the samples."""
    whole = gradient_norms(localizer, torch.from_numpy(shelf.images), shelf.boxes)
    monkeypatch.setattr(grand, "CHUNK_BYTES", 7 * 4 * sum(p.numel() for p in localizer.parameters()))
    assert grand.samples_per_chunk(localizer) == 7
    assert gradient_norms(localizer, torch.from_numpy(shelf.images), shelf.boxes) == pytest.approx(whole, rel=1e-3)


def test_unlabelled_samples_are_nan(localizer, shelf):
    """A sample without a box has no loss and so no norm; its neighbours keep theirs. Without any box, nothing is computed."""
    some = shelf.boxes[:4].copy()
    some[1] = np.nan
    norms = gradient_norms(localizer, torch.from_numpy(shelf.images[:4]), some)
    assert np.isnan(norms).tolist() == [False, True, False, False]
    assert norms[[0, 2, 3]] == pytest.approx(
        gradient_norms(localizer, torch.from_numpy(shelf.images[:4]), shelf.boxes[:4])[[0, 2, 3]], rel=1e-4
    )
    assert np.isnan(gradient_norms(localizer, torch.from_numpy(shelf.images[:4]), np.full((4, 4), np.nan, np.float32))).all()


def test_the_model_stays_as_it_is(localizer, shelf):
    """Weights, statistics, mode and stored gradients of the model are untouched."""
    localizer.train()
    before = {name: tensor.clone() for name, tensor in localizer.state_dict().items()}
    gradient_norms(localizer, torch.from_numpy(shelf.images[:3]), shelf.boxes[:3])
    assert localizer.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in localizer.state_dict().items())
    assert all(parameter.grad is None for parameter in localizer.parameters())
