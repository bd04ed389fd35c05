"""Provenance: one record per command, carried in every stream and artifact."""

import hashlib
import os
import shlex
import sys
import time
import uuid
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from htltools import __version__
from htltools.errors import UsageError
from htltools.formats.remote.address import shown
from htltools.formats.rows.jsonlines import compact_json

HIDDEN = {"jobs", "ray", "force", "partial", "tensorboard"}  # parameters that never change a result


@dataclass
class Run:
    """One call of one command: its name, its resolved parameters, and whether to keep a history."""

    command: str
    parameters: dict[str, Any]
    history: bool = True
    lists: dict[str, str] = field(default_factory=dict)  # digests of files that rows are chosen or corrected by, by path

    @cached_property
    def id(self) -> str:
        """The run id: unique, or a digest of the call where the output must be byte-stable (--no-history, SOURCE_DATE_EPOCH)."""
        if self.history and "SOURCE_DATE_EPOCH" not in os.environ:
            return uuid.uuid4().hex[:12]
        return hashlib.sha256(compact_json([self.command, self.lasting(self.parameters)])).hexdigest()[:12]

    def record(self, inputs: dict[str, str] | None = None, **resolved: Any) -> dict[str, Any]:
        """The record of this run. `inputs`: digests by name; `resolved`: the values of parameters such as `auto`."""
        return {
            "run": self.id,
            "command": shlex.join(["htl", *sys.argv[1:]]),
            "time": time_of_run(),
            "versions": {"htl": __version__, "python": sys.version.split()[0], **loaded_versions()},
            "parameters": self.lasting(self.parameters | resolved),
            "inputs": {shown(name): digest for name, digest in ((inputs or {}) | self.lists).items()},
        }

    @staticmethod
    def lasting(parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters that can change a result, in JSON's types."""
        return {name: value for name, value in json_value(parameters).items() if name not in HIDDEN}

    def chain(self, upstream: list[dict], inputs: dict[str, str] | None = None, **resolved: Any) -> list[dict]:
        """The whole history: the records before, then that of this run. Empty with --no-history."""
        return [*upstream, self.record(inputs, **resolved)] if self.history else []


def time_of_run() -> str:
    """The time, or that of SOURCE_DATE_EPOCH, in UTC.

    Raises: UsageError where that is no number of seconds.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() if given is None else int(given)))
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"SOURCE_DATE_EPOCH is a number of seconds since 1970, not {given!r}") from None


def json_value(value: Any) -> Any:
    """The value in JSON's types."""
    if isinstance(value, dict):
        return {str(k): json_value(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(v) for v in value]
    if isinstance(value, (bool, int, float, str, type(None))):
        return value if not isinstance(value, str) else str(value)
    return shown(value) if isinstance(value, Path) else str(value)


def loaded_versions() -> dict[str, str | None]:
    """Versions of the libraries imported so far."""
    versions: dict[str, str | None] = {}
    for module, package in {
        "torch": "torch",
        "torchvision": "torchvision",
        "h5py": "h5py",
        "duckdb": "duckdb",
        "PIL": "pillow",
        "pydicom": "pydicom",
        "onnxruntime": "onnxruntime-gpu",  # or the one for CPUs, whose name is that of the module
    }.items():
        if module in sys.modules:
            try:
                versions[package] = version(package)
            except PackageNotFoundError:
                package = module if module == "onnxruntime" else package
                versions[package] = getattr(sys.modules[module], "__version__", None)
    if "torch" in sys.modules:
        versions["cuda"] = sys.modules["torch"].version.cuda
    return versions


def file_digest(path: str | Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
