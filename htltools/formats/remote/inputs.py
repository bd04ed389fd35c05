"""Inputs of a command that lie in object storage: the copies in the cache that it reads in their place."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from htltools.errors import UsageError
from htltools.formats.remote.address import address_of
from htltools.formats.remote.cache import local_folder, local_path, objects_below

FIRST_SHARD = "00000.h5"


def local_inputs(command: str, values: Mapping[str, Any], outputs: Mapping[str, str]) -> dict[str, Any]:
    """The values of a command's parameters, with local paths in place of addresses. Stores of rows stay where they are, and are read shard
    by shard; sources of images are copied by who lists them.

    outputs: the flags of parameters that take no address, by name.

    Raises: UsageError where an output has an address; as `local_path`.
    """
    remote = [
        name for name, value in values.items() if name != "sources" and any(map(address_of, value if isinstance(value, list) else [value]))
    ]
    if written := next((name for name in remote if name in outputs), None):
        raise UsageError(f"{outputs[written]} takes a local path, not an address", "write it here, and copy it when the command is done")
    local = dict(values)
    for name in remote:
        value = values[name]
        local[name] = [local_input(command, name, own) for own in value] if isinstance(value, list) else local_input(command, name, value)
    return local


def local_input(command: str, name: str, value: str | Path) -> str | Path:
    """What a command reads in place of one value of a parameter."""
    address = address_of(value)
    if address is None:
        return value
    local = rows_path(Path(value)) if name == "rows" and command != "join" else local_folder(address)
    return str(local) if isinstance(value, str) else local


def rows_path(path: Path) -> Path:
    """The copy of a file or a folder; but the folder of a store is named by its address: its shards are fetched when they are read.

    Raises: as `local_path`.
    """
    address = address_of(path)
    if address is None:
        return path
    below = objects_below(address)
    if below is None:
        return local_path(address)
    return Path(address) if FIRST_SHARD in below else local_folder(address)
