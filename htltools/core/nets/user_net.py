"""A net of the user's own, `package.module:function`: code that is found by its name, and never run unless that name is trusted.

The protocol: `function(height, width, channels)` gives a `torch.nn.Module` from normalised images, float32 [B, C, H, W], to four raw
numbers each, [B, 4]; `localizer.boxes_of` makes boxes of them.
"""

import importlib
import os
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from htltools.errors import DataError, UsageError

NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_user_net(name: str) -> bool:
    """Whether a name of a net means code of the user's own.

    >>> is_user_net("my.nets:small"), is_user_net("resnet18")
    (True, False)
    """
    return ":" in name


def build_user_net(name: str, size: Sequence[int], trusted: Collection[str]) -> nn.Module:
    """The net of a name for images of `size` (H, W, C), if the name is one of the trusted.

    Raises: DataError where it is not, before anything is imported; UsageError where there is no such function, or its net breaks
    the protocol.
    """
    if name not in trusted:
        raise DataError(
            f"its net is code on your machine by the name {name!r}, and no code runs because a file names it",
            "if you know that code and want it to run, name it with --trust",
        )
    net = imported_function(name)(*size)
    if not isinstance(net, nn.Module):
        raise UsageError(f"{name} gives {type(net).__name__}, no torch.nn.Module")
    height, width, channels = size
    with torch.inference_mode():
        raw = net.eval()(torch.zeros(2, channels, height, width))
    if not isinstance(raw, torch.Tensor) or raw.shape != (2, 4):
        shape = list(raw.shape) if isinstance(raw, torch.Tensor) else type(raw).__name__
        raise UsageError(f"{name} gives {shape} for two images", "it should be four raw numbers for each, [2, 4]")
    return net.train()


def imported_function(name: str):
    """The function of a name, imported.

    Raises: UsageError where there is none.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} names no function", "a net of your own is package.module:function")
    module, _, function = name.partition(":")
    try:
        with without_current_folder():
            return getattr(importlib.import_module(module), function)
    except ImportError as error:
        remedy = "install it, or name its folder in PYTHONPATH; the current one is PYTHONPATH=."
        raise UsageError(f"{module} cannot be imported ({error})", remedy) from error
    except AttributeError:
        raise UsageError(f"{module} has no {function}") from None


@contextmanager
def without_current_folder() -> Iterator[None]:
    """A context in which modules of the current folder are found only where PYTHONPATH names it, also under `python -m htltools`."""
    here, before = os.getcwd(), sys.path[:]
    named = {os.path.abspath(folder) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder}
    if sys.path and os.path.abspath(sys.path[0]) == here and here not in named:
        del sys.path[0]
    try:
        yield
    finally:
        sys.path[:] = before
