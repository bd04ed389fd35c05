"""Nets for several objects: the same predictions as torchvision's own forward, in arrays of one shape."""

import numpy as np
import pytest
import torch
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import batched_nms

from htltools.core.geometry.matching import object_difference
from htltools.core.geometry.objects import packed, present
from htltools.core.nets.detection import detectors
from htltools.core.nets.detection.detectors import PROPOSALS, detection_net
from htltools.core.nets.detection.names import DETECTORS
from htltools.core.nets.detection.nms import best_objects, nms_mask

SIZE = 64, 64, 3
SMALL = ["compact_fcos", "fasterrcnn_mobilenet_v3_large_320_fpn"]


def fresh(kind, size=SIZE, classes=2, most=10):
    """A net with the fresh weights of seed 0, in evaluation mode, whose scores are spread out."""
    torch.manual_seed(0)
    net = detection_net(kind, size, classes, most, imagenet=False).eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "cls_logits" in name or "cls_score" in name:
                parameter.copy_(torch.randn(parameter.shape) * 0.1)
            elif "regression_head.bbox_reg.bias" in name and "fcos" in kind:  # else most boxes of a fresh FCOS are empty
                parameter.fill_(1.5)
    return net


def images(count, seed=0, size=SIZE):
    """Noise, as normalised images [B, C, H, W]."""
    return torch.randn(count, size[2], *size[:2], generator=torch.Generator().manual_seed(seed))


def by_torchvision(net, x, most=10):
    """Predictions of torchvision's own forward on the same images: lists of boxes in pixels, labels and scores."""
    model = net.model
    model.transform = GeneralizedRCNNTransform(SIZE[0], SIZE[0], [0.0] * 3, [1.0] * 3)
    own = model.roi_heads if hasattr(model, "roi_heads") else model
    own.score_thresh, own.nms_thresh, own.detections_per_img = 0.01, 0.5, most
    if hasattr(model, "rpn"):
        model.rpn._post_nms_top_n = {"training": PROPOSALS, "testing": PROPOSALS}
        model.rpn.min_size = 0.0
    with torch.no_grad():
        return model(list(x))


@pytest.mark.parametrize("name", [*SMALL, "retinanet_resnet50_fpn_v2"])
def test_predictions_are_those_of_torchvision(name, monkeypatch):
    """Boxes, labels and scores equal those of the library's own forward where as many candidates are looked at."""
    monkeypatch.setattr(detectors, "CANDIDATES", 5000)
    net, x = fresh(name), images(3)
    with torch.no_grad():
        predicted = net(x)
    two = name.startswith("faster")
    for own, theirs in zip(predicted.numpy(), by_torchvision(net, x)):
        columns = theirs["boxes"] / 64, theirs["labels"][:, None] - int(two), theirs["scores"][:, None]
        expected = packed([torch.cat(columns, 1).numpy()], 6)
        assert present(own).sum() == present(expected).sum() > 3
        assert own[:, 5] == pytest.approx(expected[0, :, 5], abs=1e-5)
        assert object_difference(own[None], expected) < 1e-4


def test_an_image_alone_is_predicted_as_among_others():
    """No prediction depends on the other images of its batch; empty places are zeros of class -1, and scores fall."""
    net, x = fresh("compact_fcos"), images(5)
    with torch.no_grad():
        together, alone = net(x), torch.cat([net(x[i : i + 1]) for i in range(5)])
    assert torch.allclose(together, alone, atol=1e-5)
    assert together.shape == (5, 10, 6)
    assert (together[:, :-1, 5] >= together[:, 1:, 5]).all()
    assert (together[..., :4] >= 0).all() and (together[..., :4] <= 1).all()
    empty = together[together[..., 4] < 0]
    assert torch.equal(empty, torch.tensor([0, 0, 0, 0, -1, 0.0]).expand(len(empty), 6))


@pytest.mark.parametrize("name", SMALL)
def test_loss_is_that_of_each_image(name):
    """The loss of an image is its own, also where it holds nothing; a step along its gradient lowers it."""
    net, x = fresh(name), images(3)
    objects = torch.tensor(
        [[[0.1, 0.1, 0.5, 0.6, 0], [0.5, 0.3, 0.9, 0.9, 1]], [[0.2, 0.2, 0.7, 0.8, 1], [0, 0, 0, 0, -1]], [[0, 0, 0, 0, -1.0]] * 2]
    )

    def losses(x, objects):
        torch.manual_seed(0)
        return net(x, objects)

    together = losses(x, objects)
    assert torch.isfinite(together).all() and together.shape == (3,)
    alone = torch.cat([losses(x[i : i + 1], objects[i : i + 1]) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-4)  # also of the one that draws: from the seed alone
    together.sum().backward()
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.grad is not None:
                parameter -= 1e-4 * parameter.grad
    assert losses(x, objects).sum() < together.sum()


def test_suppression_is_that_of_torchvision():
    """`distinct` keeps what `batched_nms` keeps, for crowds of boxes of two classes."""
    random = torch.Generator().manual_seed(0)
    for count in (1, 5, 60, 200):
        low = torch.rand(4, count, 2, generator=random) * 0.6
        boxes = torch.cat([low, low + 0.2 + torch.rand(4, count, 2, generator=random) * 0.2], 2)
        scores = torch.rand(4, count, generator=random).sort(1, descending=True).values
        labels = torch.randint(0, 2, (4, count), generator=random)
        kept = nms_mask(boxes, scores, labels, 0.5)
        for i in range(4):
            assert kept[i].nonzero().flatten().tolist() == batched_nms(boxes[i], scores[i], labels[i], 0.5).sort().values.tolist()


def test_what_has_no_area_or_no_score_is_nothing():
    """Flat boxes and scores below the limit leave empty places, and there are as many places as asked for."""
    boxes = torch.tensor([[[0.1, 0.1, 0.5, 0.5], [0.2, 0.6, 0.2, 0.9], [0.6, 0.6, 0.9, 0.9]]])
    objects = best_objects(boxes, torch.tensor([[0.9, 0.8, 0.001]]), torch.zeros(1, 3, dtype=torch.int64), 5)
    assert objects.shape == (1, 5, 6)
    assert (objects[0, :, 5] > 0).tolist() == [True, False, False, False, False]
    assert objects[0, 1:, :4].abs().sum() == 0


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_every_net_predicts_and_learns(name):
    """Each of the names builds for a frame of its own, predicts arrays, and has a gradient."""
    size = 64, 96, 3
    net = fresh(name, size)
    x = images(2, size=size)
    with torch.no_grad():
        assert net(x).shape == (2, 10, 6)
    loss = net(x, torch.tensor([[[0.1, 0.1, 0.5, 0.6, 0]], [[0.2, 0.2, 0.7, 0.8, 1]]]))
    loss.sum().backward()
    assert np.isfinite(loss.detach().numpy()).all()
    assert sum(parameter.grad is not None and bool(parameter.grad.abs().sum() > 0) for parameter in net.parameters()) > 10
