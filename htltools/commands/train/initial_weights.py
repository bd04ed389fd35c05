"""`train --init FILE` with weights that torch.save wrote: into a net of the same form."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from htltools import console
from htltools.errors import DataError
from htltools.formats.models.torch_weights import read_state_dict

LEAST = 0.5  # share of the net's tensors that a file must have
NAMED = 3  # tensors that a message names


def load_state_dict(net: nn.Module, path: Path) -> None:
    """Put the weights of a file into a net, in place, by name and shape; what has none of the file keeps its own, and is said.

    Names may have a prefix more than those of the net, such as `module.` of DataParallel.

    Raises: DataError where the file holds no state dict, or less than half of the net's tensors.
    """
    own = net.state_dict()
    found = without_prefix(read_state_dict(path), own)
    fits = {name: array for name, array in found.items() if name in own and array.shape == own[name].shape}
    missing, unused = [name for name in own if name not in fits], [name for name in found if name not in fits]
    if len(fits) < LEAST * len(own):
        cause = f"--init {path} has {len(fits)} of the {len(own)} tensors of the net"
        cause += f"; missing: {names_text(missing)}; in the file: {names_text(unused)}"
        raise DataError(cause, "name the net with --arch that the weights are of")
    net.load_state_dict(own | {name: torch.from_numpy(array).to(own[name].dtype) for name, array in fits.items()})
    fresh = f"; these start anew: {names_text(missing)}" if missing else ""
    aside = f"; not used: {names_text(unused)}" if unused else ""
    console.say(f"--init {path}: {len(fits)} of the {len(own)} tensors of the net are taken{fresh}{aside}")


def without_prefix(found: Mapping[str, np.ndarray], own: Mapping[str, object]) -> dict[str, np.ndarray]:
    """The arrays under the names of the net: without the prefix, up to a dot, with whose removal most names fit."""
    prefixes = {""} | {name[: i + 1] for name in found for i, letter in enumerate(name) if letter == "."}

    def renamed(prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): array for name, array in found.items()}

    return max((renamed(prefix) for prefix in sorted(prefixes)), key=lambda arrays: len(arrays.keys() & own.keys()))


def names_text(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more or "none"
