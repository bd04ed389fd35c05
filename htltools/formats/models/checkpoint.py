"""Checkpoints: weights as HDF5 datasets and JSON beside them. No pickle: a stranger's file cannot run code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from htltools.errors import DataError, MissingInput
from htltools.formats.rows.jsonlines import compact_json, parsed_json
from htltools.formats.rows.schema import SCHEMA, About, Architecture
from htltools.formats.rows.validation import check_schema
from htltools.formats.store import safe_hdf5
from htltools.formats.store.checksummed_hdf5 import sealing

KIND = "htl-checkpoint"
RESUME_KIND = "htl-resume"  # of a training that waits to go on
SPARSE = 1 / 3  # compress a tensor from this share of zeros on


@dataclass
class Checkpoint:
    """A model at rest: its weights by name, and all that is needed to build and use it."""

    weights: dict[str, np.ndarray]
    architecture: dict[str, Any]
    preprocessing: dict[str, Any]
    metrics: dict[str, Any] = field(default_factory=dict)
    pruning: dict[str, Any] | None = None
    log: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    fold: dict[str, int] | None = None
    training: dict[str, Any] = field(default_factory=dict)

    ABOUT = "architecture", "preprocessing", "metrics", "pruning", "log", "history", "fold", "training"

    def save(self, path: Path) -> None:
        """Write the checkpoint whole, or not at all."""
        write_arrays(
            path,
            KIND,
            {f"weights/{name}": array for name, array in self.weights.items()},
            {name: getattr(self, name) for name in self.ABOUT},
        )

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint.

        Raises: MissingInput; DataError where the file is no checkpoint, or damaged.
        """
        arrays, about = read_arrays(path, KIND)
        about = {"fold": None, "training": {}} | about  # there were checkpoints before there were these
        check_schema(About, about, f"{path} is damaged")
        if about["architecture"]["size"] != about["preprocessing"]["size"]:
            raise DataError(f"{path} is damaged: its net and its images differ in size")
        weights = {name.removeprefix("weights/"): array for name, array in arrays.items()}
        broken = next((name for name, array in weights.items() if array.dtype.kind == "f" and not np.isfinite(array).all()), None)
        if broken:
            raise DataError(f"{path}: the weights {broken} are not all numbers", "train it again, with a lower --lr")
        return cls(weights=weights, **{name: about[name] for name in cls.ABOUT})


def is_result_of(path: Path, waiting: Path) -> bool:
    """Whether a checkpoint is what the training that waits in a file came to: a run that was broken off before its rows were out."""
    if not path.is_file() or not waiting.is_file():
        return False
    try:
        return Checkpoint.load(path).log == read_arrays(waiting, RESUME_KIND)[1]["log"]
    except DataError:
        return False


def architecture_of(path: Path) -> dict[str, Any]:
    """What a checkpoint says of its net, without its weights.

    Raises: as `Checkpoint.load`.
    """
    with safe_hdf5.opened(path, KIND, KIND.replace("-", " ")) as file:
        found = dict(safe_hdf5.datasets(file))
        safe_hdf5.check_room(found)
        about = parsed_json(safe_hdf5.array(found["about/architecture"]).tobytes())
    check_schema(Architecture, about, f"{path} is damaged")
    return about


def may_be_a_result(path: Path) -> bool:
    """Whether a checkpoint may be what a command came to that was broken off before its rows were out, and is run again."""
    return is_result_of(path, resume_path(path)) or pruned_at(path) is not None


def resume_path(path: Path) -> Path:
    """Where a training to that checkpoint waits to go on."""
    return path.with_name(f"{path.stem}.resume.h5")


def pruned_at(path: Path) -> Checkpoint | None:
    """The pruned checkpoint at a path, if there is one that says what was asked for."""
    try:
        found = Checkpoint.load(path)
    except (DataError, MissingInput):
        return None
    return found if found.pruning and "request" in found.pruning else None


def write_arrays(path: Path, kind: str, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Write arrays by name and JSON by name to an HDF5 file, whole or not at all."""
    # the layout of HDF5 1.10 spends no index of several KB on the single chunk of a compressed tensor
    with sealing(path, libver=("v110", "v110")) as (file, _):
        file.attrs.update(safe_hdf5.texts(kind=kind), schema=SCHEMA)
        for name, array in arrays.items():
            zeros = 1 - np.count_nonzero(array) / max(array.size, 1)
            # without the shuffle filter, which would spell the places of the zeros four times over
            packed = {"compression": "gzip", "compression_opts": 6, "chunks": array.shape} if array.size > 256 and zeros >= SPARSE else {}
            file.create_dataset(name, data=array, **packed)
        for name, value in about.items():
            file.create_dataset(f"about/{name}", data=np.frombuffer(compact_json(value), np.uint8))


def read_arrays(path: Path, kind: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and JSON by name of an HDF5 file of that kind.

    Raises: MissingInput; DataError where it is another kind of file, or damaged.
    """
    with safe_hdf5.opened(path, kind, kind.replace("-", " ")) as file:
        found = dict(safe_hdf5.datasets(file))
        safe_hdf5.check_room(found)
        read = {name: safe_hdf5.array(dataset) for name, dataset in found.items()}
        about = {name.removeprefix("about/"): parsed_json(array.tobytes()) for name, array in read.items() if name.startswith("about/")}
    return {name: array for name, array in read.items() if not name.startswith("about/")}, about
