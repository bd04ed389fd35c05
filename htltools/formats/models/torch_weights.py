"""Weights that torch.save wrote: a state dict, read without running any code of the file."""

import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from htltools.errors import DataError

ZIP = b"PK\x03\x04"  # what torch writes since version 1.6; before, it was a bare pickle, which claims sizes that nothing bounds
HOLDERS = "state_dict", "model_state_dict", "model"  # keys of training programs under which a state dict lies
SHARED = 4  # numbers for each byte of the file that tensors may have, which may share their memory
REMEDY = "write the state dict alone: torch.save(net.state_dict(), FILE)"


def is_torch_weights(path: Path) -> bool:
    """Whether a file may be one of torch.save (torch 1.6 or later), by its first bytes."""
    with path.open("rb") as file:
        return file.read(4) == ZIP


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a state dict by name, also where a training program saved it beside other things, under `state_dict` or `model`.

    torch.load reads tensors, numbers and text alone (weights_only), so that no code runs.

    Raises: DataError where it holds Python objects, no tensors by name, or more numbers than the file has bytes for.
    """
    import torch

    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
                raise DataError(f"{path} is compressed, as torch.save writes no file", REMEDY)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except DataError:
        raise
    except Exception as error:  # torch raises errors of every kind where a file is damaged, or holds code
        word = "holds Python objects beside tensors" if "weights_only" in str(error).lower() else "is no file of torch.save, or is damaged"
        raise DataError(f"{path} {word}", REMEDY) from None
    for holder in HOLDERS:
        if isinstance(found, dict) and isinstance(found.get(holder), dict):
            found = found[holder]
            break
    if not isinstance(found, dict) or not any(isinstance(value, torch.Tensor) for value in found.values()):
        raise DataError(f"{path} holds no tensors by name", REMEDY)
    tensors = {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}
    if sum(each.numel() for each in tensors.values()) > SHARED * path.stat().st_size:
        raise DataError(f"{path} is damaged: it has fewer bytes than its tensors have numbers")
    try:
        arrays = {name: each.detach().to_dense().float().numpy() for name, each in tensors.items()}
    except (RuntimeError, NotImplementedError, TypeError) as error:
        raise DataError(f"{path} holds a tensor that is no plain array ({str(error).splitlines()[0]})", REMEDY) from None
    broken = next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)
    if broken:
        raise DataError(f"{path}: the weights {broken} are not all numbers")
    return arrays
