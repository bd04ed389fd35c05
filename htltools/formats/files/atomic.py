"""Files that appear whole or not at all."""

import errno
import glob
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from htltools.errors import CannotCreate, StorageError

DESCRIPTORS = {"/dev/stdout": 1, "/dev/stderr": 2}


def is_pipe_or_device(path: Path) -> bool:
    """Whether a path is no file that could be replaced: a pipe, a device, or a descriptor of this process, such as that of `>(command)`."""
    try:
        return descriptor_of(path) is not None or not (path.is_file() or path.is_dir() or not path.exists())
    except OSError:
        return False


def descriptor_of(path: Path) -> int | None:
    """The descriptor of this process that a path names; None where it names none."""
    folder, _, number = str(path).rpartition("/")
    if folder in ("/dev/fd", "/proc/self/fd") and number.isdecimal():
        return int(number)
    return DESCRIPTORS.get(str(path))


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; on success it is synced and renamed to `path`, on failure removed.

    What is written to a pipe or a device goes through it instead, once it is whole.

    Raises: CannotCreate where the folder cannot be written; StorageError where the disk is full.
    """
    path, through = Path(path), is_pipe_or_device(Path(path))
    folder = tempfile.mkdtemp(prefix="htl-") if through else path.parent
    temporary = Path(folder, f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        if through:
            write_through(temporary, path)
            return
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
        if through:
            os.rmdir(folder)


def write_through(source: Path, path: Path) -> None:
    """Write what a file holds into a pipe or a device."""
    sys.stdout.flush()  # that may be the same
    number = descriptor_of(path)
    handle = os.open(path, os.O_WRONLY) if number is None else os.dup(number)
    with open(source, "rb") as file, open(handle, "wb") as out:
        shutil.copyfileobj(file, out)


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
    if is_pipe_or_device(path):  # which is not replaced
        return
    if path.exists() and not force:
        raise CannotCreate(f"{path} exists", "replace it with --force, or name another output")
    if not path.parent.is_dir():
        raise CannotCreate(f"the folder {path.parent} is not there", "create it first")
