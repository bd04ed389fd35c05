"""Nets of the user's own."""

import os
import sys
from itertools import count

import pytest
import torch

from htltools.core.nets.factory import architecture, build
from htltools.core.nets.state_arrays import from_weights, weights_of
from htltools.core.nets.user_net import build_user_net
from htltools.errors import DataError, UsageError

CODE = """
import torch
from torch import nn
from pathlib import Path

Path(__file__).with_name("ran").touch()

def small(height, width, channels):
    return nn.Sequential(nn.Conv2d(channels, 2, 3), nn.Flatten(), nn.Linear(2 * (height - 2) * (width - 2), 4))

def maps(height, width, channels):
    return nn.Conv2d(channels, 4, 3)

def nothing(height, width, channels):
    return {}

def several(height, width, channels):
    class Several(nn.Module):
        def forward(self, x):
            return [x, x]
    return Several()
"""
SIZE = (8, 6, 3)
NUMBER = count()  # of the module: Python imports each name once


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A module of a name of its own in a folder that Python knows; gives the name, and whether it was run."""
    name = f"nets{next(NUMBER)}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    return name, (tmp_path / "ran").exists


def test_a_trusted_name_is_built(code):
    """The function is given height, width and channels; its net takes normalised images to raw numbers, and becomes a localizer."""
    name = f"{code[0]}:small"
    assert build_user_net(name, SIZE, [name])(torch.zeros(5, 3, 8, 6)).shape == (5, 4)
    shape = architecture(name, SIZE)
    model = build(shape, trusted=[name])
    boxes = model(torch.randint(0, 256, (5, *SIZE), dtype=torch.uint8))
    assert boxes.shape == (5, 4) and (boxes[:, :2] <= boxes[:, 2:]).all()
    again = from_weights(shape, weights_of(model), trusted=[name])
    assert all(torch.equal(one, other) for one, other in zip(model.state_dict().values(), again.state_dict().values()))


@pytest.mark.parametrize("trusted", [(), ["other:small"], [""]])
def test_a_strangers_name_runs_nothing(code, trusted):
    """Unless that very name is trusted, not even the module is imported."""
    name, ran = code
    for call in (
        lambda: build(architecture(f"{name}:small", SIZE), trusted=trusted),
        lambda: from_weights(architecture(f"{name}:small", SIZE), {}, trusted=trusted),
    ):
        with pytest.raises(DataError, match="no code runs because a file names it; .* name it with --trust"):
            call()
    assert not ran() and name not in sys.modules


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("maps", r"gives \[2, 4, 6, 4\] for two images; it should be four raw numbers for each"),
        ("nothing", "gives dict, no torch.nn.Module"),
        ("several", "gives list for two images"),
        ("absent", "has no absent"),
    ],
)
def test_what_is_no_such_function(code, function, message):
    """A function that breaks the protocol is refused by name."""
    name = f"{code[0]}:{function}"
    with pytest.raises(UsageError, match=message):
        build_user_net(name, SIZE, [name])


@pytest.mark.parametrize(("name", "message"), [("no.such.module:f", "no.such.module cannot be imported"), ("a b:f", "names no function")])
def test_what_cannot_be_found(name, message):
    """A module that is not there, and a text that is no name, are wrong usage."""
    with pytest.raises(UsageError, match=message):
        build_user_net(name, SIZE, [name])


def test_the_current_folder_only_when_asked(code, tmp_path, monkeypatch):
    """A file of the current folder is no module, whatever `python -m` says, unless PYTHONPATH names the folder."""
    name = f"{code[0]}:small"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *(folder for folder in sys.path if folder != str(tmp_path))])
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(UsageError, match="PYTHONPATH=."):
        build_user_net(name, SIZE, [name])
    assert sys.path[0] == os.getcwd()
    monkeypatch.setenv("PYTHONPATH", ".")
    assert build_user_net(name, SIZE, [name])


def test_what_an_own_net_cannot(code):
    """There are no ImageNet weights for it, and it does not learn from labels alone."""
    name = f"{code[0]}:small"
    with pytest.raises(UsageError, match="neither ImageNet weights nor maps"):
        build(architecture(name, SIZE), imagenet=True, trusted=[name])
    with pytest.raises(UsageError, match="neither ImageNet weights nor maps"):
        build(architecture(name, SIZE, "class_map", classes=["a", "b"]), trusted=[name])
