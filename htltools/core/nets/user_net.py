"""A net of the user's own, `package.module:function`: code that is found by its name, and never run without leave.

The protocol: `function(height, width, channels)` gives a `torch.nn.Module` that takes normalised images, float32
[B, C, H, W], and answers with four raw numbers each, [B, 4]; `core.localizer.boxes_of` makes boxes of them.
"""

import importlib
import os
import re
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from htltools.errors import DataError, UsageError

NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_own(name: str) -> bool:
    """Whether a name of a net means code of the user's own.

    >>> is_own("my.nets:small"), is_own("resnet18")
    (True, False)
    """
    return ":" in name


def own_net(name: str, size: tuple[int, int, int], trusted: Collection[str]) -> nn.Module:
    """The net that a name means, for images of `size` (H, W, C), if the name is one of the trusted.

    Raises: DataError where it is not, before anything is imported; UsageError where there is no such function, or it gives
    something else than the protocol says.
    """
    if name not in trusted:
        raise DataError(
            f"its net is code on your machine by the name {name!r}, and nothing runs by the word of a file",
            "if you know that code and want it to run, name it with --trust",
        )
    function = found(name)
    net = function(*size)
    if not isinstance(net, nn.Module):
        raise UsageError(f"{name} gives {type(net).__name__}, no torch.nn.Module")
    height, width, channels = size
    with torch.inference_mode():
        raw = net.eval()(torch.zeros(2, channels, height, width))
    if not isinstance(raw, torch.Tensor) or raw.shape != (2, 4):
        shape = list(raw.shape) if isinstance(raw, torch.Tensor) else type(raw).__name__
        raise UsageError(f"{name} answers two images with {shape}", "it should be four raw numbers for each, [2, 4]")
    return net.train()


def found(name: str):
    """The function of a name.

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
    """Within it, modules of the current folder are found only where PYTHONPATH names it, also under `python -m htltools`."""
    here, before = os.getcwd(), sys.path[:]
    asked = {os.path.abspath(folder) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder}
    if sys.path and os.path.abspath(sys.path[0]) == here and here not in asked:
        del sys.path[0]
    try:
        yield
    finally:
        sys.path[:] = before
