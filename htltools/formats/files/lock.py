"""One run at a time: a lock that goes with the run, however that ends."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ENOLCK, ENOSYS, EOPNOTSUPP
from pathlib import Path

from filelock import FileLock, Timeout

from htltools.errors import CannotCreate, TryAgain


@contextmanager
def exclusive(lock: Path, what: Path) -> Iterator[None]:
    """Hold a lock file while `what` is written. On a file system without locks, hold nothing.

    Raises: TryAgain where another run holds it; CannotCreate where the folder cannot be written.
    """
    held = FileLock(lock, timeout=0, fallback_to_soft=False)
    try:
        lock.touch()  # filelock would make a folder that is not there
        held.acquire()
        lock.write_text(f"process {os.getpid()} of {socket.gethostname()}\n", "utf-8")
    except Timeout:
        raise TryAgain(f"another run is writing {what} ({holder_of(lock)})", "wait for it, or name another output with -o") from None
    except OSError as error:
        # the name of the holder is a courtesy, for which a disk may be too full
        if not held.is_locked and error.errno not in (ENOLCK, ENOSYS, EOPNOTSUPP):
            raise CannotCreate(f"cannot write beside {what} ({os.strerror(error.errno or 0).lower()}: {lock})") from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # before the release: a run that has just opened it sees that it is gone, and tries again
        held.release()


def holder_of(lock: Path) -> str:
    """The process that holds a lock, as its file names it."""
    with suppress(OSError, UnicodeDecodeError), lock.open(encoding="utf-8") as file:
        return file.readline(200).strip()
    return "its name is not known"
