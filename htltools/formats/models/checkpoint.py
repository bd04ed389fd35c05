"""Checkpoints: weights as HDF5 datasets, and JSON beside them. No pickle: an untrusted file cannot run code."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from htltools.errors import DataError, MissingInput
from htltools.formats.rows.jsonlines import compact_json, parsed_json
from htltools.formats.rows.schema import SCHEMA, Architecture, Description
from htltools.formats.rows.validation import check_schema
from htltools.formats.store import safe_hdf5
from htltools.formats.store.checksummed_hdf5 import carries_checksum, check_hdf5_checksum, written_with_checksum

CHECKPOINT_KIND = "htl-checkpoint"
RESUME_KIND = "htl-resume"  # the state of a training that was interrupted
SPARSE = 1 / 3  # compress a tensor from this share of zeros on


@dataclass
class Checkpoint:
    """A model in a file: its weights by name, and what is needed to build and use it, see vocabulary.CHECKPOINT."""

    weights: dict[str, np.ndarray]
    architecture: dict[str, Any]
    preprocessing: dict[str, Any]
    metrics: dict[str, Any] = field(default_factory=dict)
    pruning: dict[str, Any] | None = None
    log: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    fold: dict[str, int] | None = None
    training: dict[str, Any] = field(default_factory=dict)
    referral: dict[str, Any] | None = None

    DESCRIPTION = "architecture", "preprocessing", "metrics", "pruning", "log", "history", "fold", "training", "referral"

    @cached_property
    def digest(self) -> str:
        """sha256 of the weights: the same in every file of the same net."""
        digest = hashlib.sha256()
        for name, array in sorted(self.weights.items()):
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all.

        Raises: CannotCreate, StorageError; DataError where it holds NaN or Infinity.
        """
        write_arrays(
            path,
            CHECKPOINT_KIND,
            {f"weights/{name}": array for name, array in self.weights.items()},
            {name: getattr(self, name) for name in self.DESCRIPTION},
        )

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint.

        Raises: MissingInput; DataError where the file is no checkpoint, or any byte of it is not what was written.
        """
        whole = carries_checksum(path)
        if whole:
            check_hdf5_checksum(path)  # before HDF5 opens it: a flipped bit in the weights would pass for a worse net
        arrays, about = read_arrays(path, CHECKPOINT_KIND)
        about.setdefault("referral", None)  # files of an earlier htl have none
        if not whole:
            check_hdf5_checksum(path)  # refuses it; another kind of file was refused by name
        check_schema(Description, about, f"{path} is damaged")
        if about["architecture"]["size"] != about["preprocessing"]["size"]:
            raise DataError(f"{path} is damaged: its net and its images differ in size")
        weights = {name.removeprefix("weights/"): array for name, array in arrays.items()}
        broken = next((name for name, array in weights.items() if array.dtype.kind == "f" and not np.isfinite(array).all()), None)
        if broken:
            raise DataError(f"{path}: the weights {broken} are not all numbers", "train it again, with a lower --lr")
        return cls(weights=weights, **{name: about[name] for name in cls.DESCRIPTION})


def is_result_of(path: Path, state: Path) -> bool:
    """Whether a checkpoint is the result of the training whose state is in a file: of a run that ended before its rows were written."""
    if not path.is_file() or not state.is_file():
        return False
    try:
        return Checkpoint.load(path).log == read_arrays(state, RESUME_KIND)[1]["log"]
    except DataError:
        return False


def architecture_of(path: Path) -> dict[str, Any]:
    """The architecture of a checkpoint, without reading its weights.

    Raises: as `Checkpoint.load`.
    """
    with safe_hdf5.open_hdf5(path, CHECKPOINT_KIND, CHECKPOINT_KIND.replace("-", " ")) as file:
        datasets = dict(safe_hdf5.own_datasets(file))
        safe_hdf5.check_unpacked_size(datasets.values())
        architecture = parsed_json(safe_hdf5.read_array(datasets["about/architecture"]).tobytes())
    check_schema(Architecture, architecture, f"{path} is damaged")
    return architecture


def may_be_a_result(path: Path) -> bool:
    """Whether a checkpoint may be the result of a command that ended before its rows were written, and is run again."""
    return is_result_of(path, resume_path(path)) or pruned_at(path) is not None


def resume_path(path: Path) -> Path:
    """The file with the state of the training to that checkpoint."""
    return path.with_name(f"{path.stem}.resume.h5")


def pruned_at(path: Path) -> Checkpoint | None:
    """The pruned checkpoint at a path; None where there is none that names its request."""
    try:
        checkpoint = Checkpoint.load(path)
    except (DataError, MissingInput):
        return None
    return checkpoint if checkpoint.pruning and "request" in checkpoint.pruning else None


def write_arrays(path: Path, kind: str, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Write arrays by name and JSON by name to an HDF5 file, whole or not at all.

    Raises: CannotCreate, StorageError; DataError where the JSON would hold NaN or Infinity.
    """
    # the layout of HDF5 1.10 spends no index of several KB on the single chunk of a compressed tensor
    with written_with_checksum(path, libver=("v110", "v110")) as (file, _):
        file.attrs.update(safe_hdf5.text_attributes(kind=kind), schema=SCHEMA)
        for name, array in arrays.items():
            zeros = 1 - np.count_nonzero(array) / max(array.size, 1)
            # without the shuffle filter, which would store the positions of the zeros four times
            packed = {"compression": "gzip", "compression_opts": 6, "chunks": array.shape} if array.size > 256 and zeros >= SPARSE else {}
            file.create_dataset(name, data=array, **packed)
        for name, value in about.items():
            file.create_dataset(f"about/{name}", data=np.frombuffer(compact_json(value), np.uint8))


def read_arrays(path: Path, kind: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and JSON by name of an HDF5 file of that kind.

    Raises: MissingInput; DataError where it is another kind of file, or damaged.
    """
    with safe_hdf5.open_hdf5(path, kind, kind.replace("-", " ")) as file:
        datasets = dict(safe_hdf5.own_datasets(file))
        safe_hdf5.check_unpacked_size(datasets.values())
        arrays = {name: safe_hdf5.read_array(dataset) for name, dataset in datasets.items()}
        names = [name for name in arrays if name.startswith("about/")]
        about = {name.removeprefix("about/"): parsed_json(arrays.pop(name).tobytes()) for name in names}
    return arrays, about
