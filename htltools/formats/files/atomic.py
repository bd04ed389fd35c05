"""Files that appear whole or not at all."""

import errno
import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from htltools.errors import CannotCreate, StorageError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; on success it is synced and renamed to `path`, on failure removed.

    Raises: CannotCreate where the folder cannot be written; StorageError where the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError) as error:
        raise CannotCreate(f"cannot create {path} ({error.strerror or error})") from error
    except OSError as error:
        if error.errno == errno.EROFS:
            raise CannotCreate(f"cannot create {path} ({error.strerror})", "its file system is read-only") from error
        raise StorageError(f"cannot write {path} ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that a rename in it is durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_leftovers(*paths: Path) -> None:
    """Remove the temporary files that `replacing` left beside these paths where a run was killed. No other run may be writing them."""
    for path in paths:
        for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
            leftover.unlink(missing_ok=True)


def refuse_existing(path: Path, force: bool) -> None:
    """Raise CannotCreate where the output exists and --force was not given, or where its folder is missing."""
    if path.exists() and not force:
        raise CannotCreate(f"{path} exists", "replace it with --force, or name another output")
    if not path.parent.is_dir():
        raise CannotCreate(f"the folder {path.parent} is not there", "create it first")
