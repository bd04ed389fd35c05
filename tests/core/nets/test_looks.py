"""Looking again: windows around predictions, enlarged, and predictions put back."""

import numpy as np
import pytest
import torch

from htltools.core.geometry.masks import mask_boxes
from htltools.core.nets.factory import architecture, build
from htltools.core.nets.localizer import NORMALISATION, Localizer
from htltools.core.nets.looks import Looks
from htltools.core.nets.mask_localizer import MaskLocalizer, PixelLocalizer

SIDE = 64


class Finder(torch.nn.Module):
    """Logits [B, h, w] of the bright pixels of images, blurred by a pixel: the larger a thing is, the better it sees its borders."""

    def __init__(self):
        super().__init__()
        self.heads, self.seen = [], []

    def forward(self, x):
        self.seen.append(x.shape[0])
        return 20 * (torch.nn.functional.avg_pool2d(x[:, 0].unsqueeze(1), 9, 1, 4).squeeze(1) - 0.5)


def finder(kind=PixelLocalizer, **about):
    """A localizer that finds bright pixels, whatever the mean of its images."""
    frames = [(SIDE, SIDE)] * (2 if kind is MaskLocalizer else 1)
    model = kind(Finder(), *frames, mean=[0.0] * 3, std=[1.0] * 3)
    model.looks = Looks(**about)
    return model.eval()


def images_of(boxes):
    """Black images uint8 [B, SIDE, SIDE, 3] with a white ellipse in each box (pixels)."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    inside = [((x - (a + c) / 2) / ((c - a) / 2)) ** 2 + ((y - (b + d) / 2) / ((d - b) / 2)) ** 2 <= 1 for a, b, c, d in boxes]
    return torch.from_numpy(np.repeat(np.stack(inside)[..., None], 3, 3).astype(np.uint8) * 255)


BOXES = [(8, 10, 24, 22), (30, 30, 60, 62), (40, 4, 52, 16)]
SHARES = torch.tensor(BOXES) / SIDE


@pytest.mark.parametrize("kind", [PixelLocalizer, MaskLocalizer])
def test_a_second_look_is_nearer(kind):
    """A net whose error is some pixels wide errs by less of the object where that is enlarged; a mask is as much better as its box."""
    once, again = finder(kind)(images_of(BOXES)), finder(kind, count=3)(images_of(BOXES))
    errors = [(boxes - SHARES).abs().mean(1) for boxes in (once, again)]
    assert (errors[1] < 0.7 * errors[0]).all(), errors


def test_the_mean_of_two_looks():
    """With `average` the prediction is the mean of the last two looks."""
    one, two, three = (finder(count=count)(images_of(BOXES)) for count in (1, 2, 3))
    assert finder(count=2, average=True)(images_of(BOXES)) == pytest.approx((one + two) / 2, abs=1e-6)
    assert finder(count=3, average=True)(images_of(BOXES)) == pytest.approx((two + three) / 2, abs=1e-6)


@pytest.mark.parametrize("average", [False, True])
def test_images_that_agree_are_not_looked_at_again(average):
    """From an IoU of two looks on an image is left as it is: the net sees fewer of them, and each has the prediction that it had alone."""
    images = images_of([*BOXES, (0, 0, 64, 64)])
    patient = finder(count=6, agree=0.97, average=average)
    together = patient(images)
    seen = patient.net.seen
    assert seen[0] == 4 and seen == sorted(seen, reverse=True) and seen[-1] < 4
    assert together == pytest.approx(torch.cat([finder(count=6, agree=0.97, average=average)(image[None]) for image in images]), abs=1e-6)


def test_compiled_and_exported_looks_are_the_same(monkeypatch):
    """Where no image may be left out of a batch, as in an exported graph, the predictions are the same."""
    images = images_of(BOXES)
    eager = finder(count=6, agree=0.9)(images)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    whole = finder(count=6, agree=0.9)
    assert whole(images) == pytest.approx(eager, abs=1e-6)
    assert set(whole.net.seen) == {3}


def test_another_net_takes_the_first_look():
    """A localizer may have a net of its own for the first look: here one that is off by a few pixels."""
    model = finder(count=2)

    class Rough(Finder):
        def forward(self, x):
            return super().forward(x).roll(2, 2)

    model.glance = Rough()
    assert model(images_of(BOXES)) == pytest.approx(finder(count=2)(images_of(BOXES)), abs=0.02)
    assert (model.glance.seen, model.net.seen) == ([3], [3])


def test_a_finer_store_is_looked_at_in_full():
    """A net of small images sees the whole image small first, and then a part of it in full: small things are found to the pixel."""
    side, boxes = 256, [(20, 30, 32, 40), (200, 100, 216, 124)]
    y, x = np.mgrid[:side, :side] + 0.5
    inside = np.stack([(x > a) & (x < c) & (y > b) & (y < d) for a, b, c, d in boxes])
    images = torch.from_numpy(np.repeat(inside[..., None], 3, 3).astype(np.uint8) * 255)
    for kind, frames in (PixelLocalizer, [(SIDE, SIDE)]), (MaskLocalizer, [(SIDE, SIDE), (side, side)]):
        errors = []
        for count in (1, 4):
            model = kind(Finder(), *frames, mean=[0.0] * 3, std=[1.0] * 3).eval()
            model.looks, model.input = Looks(count, 2.0), (SIDE, SIDE)
            errors.append((model(images) * side - torch.tensor(boxes)).abs().amax())
        assert errors[0] > 3 and errors[1] < 1.6, errors


def test_architectures_say_how_to_look():
    """What an architecture says of looks and input is what the localizer does; without it, it looks once."""
    more = {"looks": {"count": 3, "window": 1.7, "average": True, "agree": 2.0}, "input": [32, 32]}
    model = build(architecture("compact_unet", (48, 64, 3), "mask", **more)).eval()
    assert (model.looks, model.input, model.frame, model.stored) == (Looks(3, 1.7, True), (32, 32), (32, 32), (48, 64))
    images = torch.randint(0, 256, (2, 48, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        x = model.normalised(images)
        assert model.masks(x).shape == (2, 48, 64)
        assert model(images) == pytest.approx(mask_boxes(model.masks(x)))
    assert build(architecture("compact", (48, 64, 3))).looks == Looks()


def test_regressors_look_again():
    """A net of four numbers looks again as well: two looks at the same place are one."""

    class Everything(torch.nn.Module):
        def forward(self, x):
            return torch.logit(torch.tensor([0.1, 0.1, 1.1, 1.1]) / 1.2).expand(len(x), 4)  # the whole of what it sees

    model = Localizer(Everything(), **NORMALISATION).eval()
    model.looks = Looks(3, 1.0)
    assert model(images_of(BOXES)) == pytest.approx(torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 3), abs=1e-5)
