"""Object storage as fsspec gives it: what is at an address, and whole files of it. Every failure is one of htl's errors."""

import importlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from errno import EACCES, EDQUOT, ENOSPC, EROFS
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from htltools.errors import CannotCreate, DeviceMissing, HtlError, MissingInput, StorageError, TryAgain
from htltools.formats.remote.address import MODULES

PAUSES = 0.5, 1.0, 2.0  # seconds before each further try
CONNECT, READ = 10, 60  # seconds without an answer
DENIED = ("credential", "authentication", "forbidden", "permission", "accessdenied", "unauthorized", "invalidaccesskey", "signature")
DENIED_CODES = "401", "403"
SETTINGS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY",
}
T = TypeVar("T")


@dataclass(frozen=True)
class Stored:
    """An object: its address, its bytes, and its version, which changes with its content."""

    address: str
    size: int
    version: str


@cache
def file_system(scheme: str) -> Any:
    """fsspec's file system of a scheme, which looks again at each call.

    Raises: DeviceMissing where the extra is not installed.
    """
    try:
        fsspec = importlib.import_module("fsspec")
        importlib.import_module(MODULES[scheme])
    except ModuleNotFoundError as error:
        raise DeviceMissing(f"{scheme}:// needs {error.name}, which is not installed", "pip install 'htltools[cloud]'") from None
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if scheme == "s3":
        tries = {"total_max_attempts": 1, "mode": "standard"}  # the tries are ours
        options["config_kwargs"] = {"connect_timeout": CONNECT, "read_timeout": READ, "retries": tries}
    logging.getLogger(MODULES[scheme]).setLevel(logging.CRITICAL)  # errors are told once, by us
    found = asked(f"{scheme}://", lambda: fsspec.filesystem(scheme, **options))
    if scheme == "s3":
        found.retries = 2  # of s3fs, which goes on with a file where it was cut
    return found


def find(address: str) -> Stored | dict[str, Stored]:
    """The object at an address; or, where it is a folder, all objects below it by relative path.

    Raises: MissingInput where there is neither, or it may not be read; TryAgain; DeviceMissing.
    """
    fs, path = opened(address)
    about = asked(address, lambda: nothing_is_none(lambda: fs.info(path))) if "/" in path else {"type": "directory"}
    if about and about["type"] == "file":
        return stored(address, about)
    below = asked(address, lambda: nothing_is_none(lambda: fs.find(path, detail=True)))
    if not below:
        bucket = address.split("/")[2]
        if "/" in path and asked(address, lambda: fs.exists(bucket)):
            raise MissingInput(f"{address} is not there")
        raise MissingInput(f"the bucket {address.partition('://')[0]}://{bucket} is not there, or empty", "is the endpoint the right one?")
    names = {name.removeprefix(path).strip("/"): own for name, own in below.items() if own["type"] == "file" and not name.endswith("/")}
    return {name: stored(f"{address}/{name}", own) for name, own in sorted(names.items()) if name}


def stored(address: str, about: dict[str, Any]) -> Stored:
    """An object by what fsspec tells of it."""
    version = next((str(about[name]) for name in ("ETag", "etag", "md5Hash", "generation") if about.get(name)), "")
    when = about.get("LastModified") or about.get("mtime") or about.get("last_modified") or about.get("updated") or ""
    return Stored(address, int(about["size"] or 0), version.strip('"') or str(when))


def download(object: Stored, path: Path) -> None:
    """Write a whole object to a file.

    Raises: as `find`; StorageError where the disk is full.
    """
    fs, remote = opened(object.address)

    def whole() -> None:
        fs.get_file(remote, str(path))
        if (size := path.stat().st_size) != object.size:
            raise ConnectionError(f"{size} of {object.size} bytes came")

    asked(object.address, whole)


def opened(address: str) -> tuple[Any, str]:
    """The file system of an address, and its path there."""
    scheme, _, path = address.partition("://")
    return file_system(scheme), path


def nothing_is_none(ask: Callable[[], T]) -> T | None:
    """The answer; None where nothing is there."""
    try:
        return ask()
    except FileNotFoundError:
        return None


def asked(address: str, ask: Callable[[], T]) -> T:
    """The answer of a server, after a few tries where the connection fails.

    Raises: MissingInput where it is not there or may not be read; TryAgain where the connection failed each time; StorageError,
    CannotCreate where it is our disk that fails.
    """
    pauses = () if address.startswith("gs:") else PAUSES  # gcsfs has tries of its own, over a minute
    for pause in (*pauses, None):
        try:
            return ask()
        except HtlError:
            raise
        except Exception as error:  # each library has its own
            if failure := lasting_failure(address, error):
                raise failure from None
            if pause is None:
                reason = first_line(error)
                tries = f"the connection failed{f' {len(pauses) + 1} times' if pauses else ''} ({reason})"
                raise TryAgain(f"{address}: {tries}", "run the command again; what has come is kept") from None
            time.sleep(pause)
    raise AssertionError


def lasting_failure(address: str, error: Exception) -> HtlError | None:
    """The error that a further try would meet again; None where the connection failed."""
    if isinstance(error, FileNotFoundError):
        return MissingInput(f"{address} is not there")
    number = error.errno if isinstance(error, OSError) else None
    if number in (ENOSPC, EDQUOT):
        return StorageError(f"the cache is full ({os.strerror(number)})", "name a larger disk with HTL_CACHE")
    if number in (EACCES, EROFS) and isinstance(error, OSError) and error.filename:
        return CannotCreate(f"cannot write {error.filename} ({os.strerror(number)})", "name another folder with HTL_CACHE")
    names = f"{type(error).__name__} {getattr(error, 'code', '')}".lower().replace("_", "")
    code = str(getattr(error, "status_code", None) or getattr(error, "code", None) or "")
    if code in DENIED_CODES or any(word in names for word in DENIED):
        settings = SETTINGS[address.partition("://")[0]]
        return MissingInput(f"{address} may not be read ({first_line(error)})", f"check the keys: {settings}")
    if isinstance(error, (ValueError, TypeError)):  # no valid name of a bucket, or no account
        return MissingInput(f"{address} cannot be asked for ({first_line(error)})", "see OBJECT STORAGE in htl(1)")
    return None


def first_line(error: Exception) -> str:
    """What an error says, in a line."""
    return (str(error).strip().partition("\n")[0] or type(error).__name__).rstrip(".")
