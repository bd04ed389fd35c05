"""How a model is to look is decided by validation images."""

import numpy as np
import pytest
import torch

from htltools.core.nets.looks import Looks
from htltools.core.runtime.runtime import Runtime
from htltools.core.training import choose_looks as module
from htltools.core.training.choose_looks import choose_looks


class Model:
    """What has looks, and an IoU that follows from them."""

    looks = Looks()


def chosen(monkeypatch, reached, **asked):
    """The looks of a model whose mean IoU is a function of its looks, and all that was tried."""
    model = Model()
    monkeypatch.setattr(module, "mean_ious", lambda model, ways, images, targets, runtime: [reached(way) for way in ways])
    tried = choose_looks(model, torch.zeros(1), np.zeros(1), Runtime("cpu"), **asked)
    return model.looks, tried


def test_one_look_where_more_are_no_better(monkeypatch):
    """A net that has learned nothing from enlarged images goes on looking once; so does one where it makes no difference."""
    for reached in (lambda looks: 0.8 / looks.count, lambda looks: 0.8):
        looks, tried = chosen(monkeypatch, reached)
        assert looks.count == 1 and tried[looks] == 0.8 and len(tried) > 5


def test_the_best_of_all(monkeypatch):
    """Number of looks, window, and whether the last two are averaged are those of the highest IoU."""
    best = Looks(3, 1.7, True)
    looks, tried = chosen(monkeypatch, lambda looks: 0.5 + 0.1 * (looks == best) + 0.05 * (looks.window == 1.7))
    assert looks == best and tried[best] == pytest.approx(0.65) and Looks() in tried


def test_what_is_asked_for_is_kept(monkeypatch):
    """Looks and window that were asked for are not changed, even where one look is better; only the mean of two is still chosen."""
    looks, tried = chosen(monkeypatch, lambda looks: 0.8 / looks.count + 0.01 * looks.average, count=3, window=1.3)
    assert looks == Looks(3, 1.3, True) and {each.window for each in tried if each.count > 1} == {1.3}
    assert chosen(monkeypatch, lambda looks: 0.1 * looks.count, count=1)[0] == Looks()
    assert chosen(monkeypatch, lambda looks: 0.1 * looks.count, window=1.3)[0].window == 1.3
