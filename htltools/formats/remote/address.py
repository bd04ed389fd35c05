"""Addresses of object storage, and where the cache keeps what they name. No library is imported, and nothing is opened."""

import os
import re
from functools import cache
from pathlib import Path

from htltools.errors import DataError, UsageError

MODULES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}  # by scheme, what fsspec needs for it
ADDRESS = re.compile(rf"({'|'.join(MODULES)}):/+([^/]*)/*(.*?)/*", re.DOTALL)
STARTS = tuple(f"{scheme}:/" for scheme in MODULES)
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
DEFAULT_SIZE = "100G"


def address_of(path: str | Path) -> str | None:
    """The address that a path is, also where pathlib has folded its slashes; None: it is a path of this machine.

    >>> address_of("s3://bucket/ham/"), address_of(Path("gs://bucket/dense.h5")), address_of("ham")
    ('s3://bucket/ham', 'gs://bucket/dense.h5', None)
    """
    text = str(path)
    if not text.startswith(STARTS):
        return None
    scheme, bucket, key = ADDRESS.fullmatch(text).groups()  # type: ignore[union-attr]
    return f"{scheme}://{bucket}/{key}" if key else f"{scheme}://{bucket}"


def cache_folder() -> Path:
    """The folder of the cache: HTL_CACHE, or ~/.cache/htl."""
    return Path(cache_text())


def cache_text() -> str:
    """The same as text: millions of rows ask for it, and it changes with the environment alone."""
    return os.path.abspath(cache_in(*map(os.environ.get, ("HTL_CACHE", "XDG_CACHE_HOME", "HOME"))))


@cache
def cache_in(asked: str | None, shared: str | None, home: str | None) -> str:
    """The folder of the cache in an environment, as that names it; `home` decides where ~ is."""
    return asked or os.path.join(shared or os.path.expanduser("~/.cache"), "htl")


def cache_size() -> int:
    """The bytes that the cache may hold: HTL_CACHE_SIZE, such as 200G.

    Raises: UsageError.
    """
    text = os.environ.get("HTL_CACHE_SIZE") or DEFAULT_SIZE
    parts = re.fullmatch(r"(\d+)([KMGT]?)B?", text.upper())
    if not parts:
        raise UsageError(f"HTL_CACHE_SIZE is a number of bytes such as 200G, not {text!r}")
    return int(parts[1]) * UNITS[parts[2]]


def cached_path(address: str) -> Path:
    """Where the cache keeps a file or a folder.

    Raises: DataError where a key would lead out of the cache, or to no file.
    """
    scheme, _, rest = address.partition("://")
    parts = rest.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise DataError(f"{address} has an empty part, . or ..", "such keys are no paths; copy the object to another key")
    return cache_folder().joinpath("data", scheme, *parts)


def shown(path: str | Path) -> str:
    """A path as people and rows name it: the address of what lies in the cache or in object storage, any other path as it is."""
    text, data = address_of(path) or str(path), os.path.join(cache_text(), "data", "")
    if not text.startswith(data):
        return text
    scheme, _, rest = text.removeprefix(data).partition(os.sep)
    return f"{scheme}://{rest}" if rest else text


def with_addresses(message: str) -> str:
    """A message with addresses in place of paths of the cache, and of those whose slashes pathlib has folded."""
    data = os.path.join(cache_folder(), "data", "")
    if data in message:
        message = re.sub(re.escape(data) + rf"({'|'.join(MODULES)})/", r"\1://", message)
    return re.sub(rf"\b({'|'.join(MODULES)}):/(?=[^/])", r"\1://", message) if ":/" in message else message
