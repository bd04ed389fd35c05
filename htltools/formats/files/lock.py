"""One run at a time: a lock that goes with the run, however that ends."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from htltools.errors import CannotCreate, TryAgain

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextmanager
def alone(lock: Path, what: Path) -> Iterator[None]:
    """Hold a lock file while `what` is written. Where a file system knows no locks, hold nothing.

    Raises: TryAgain where another run holds it; CannotCreate where the folder cannot be written.
    """
    file = held(lock, what)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        file.close()


def held(lock: Path, what: Path) -> IO[str]:
    """The lock file, opened and locked."""
    while True:
        try:
            file = open(lock, "a+", encoding="utf-8")  # noqa: SIM115  it stays open as long as it is held
        except OSError as error:
            raise CannotCreate(f"cannot write beside {what} ({error.strerror.lower()}: {lock})") from None
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.readline(200).strip()
            file.close()
            raise TryAgain(f"another run is writing {what} ({holder})", "wait for it, or name another output with -o") from None
        except OSError:  # a file system without locks
            return file
        if stands(lock, file):
            with suppress(OSError):  # the name of the holder is a courtesy, for which a disk may be too full
                os.truncate(file.fileno(), 0)
                os.write(file.fileno(), f"process {os.getpid()} of {socket.gethostname()}\n".encode())
            return file
        file.close()  # the run before removed it in this very moment


def stands(lock: Path, file: IO[str]) -> bool:
    """Whether the opened file is still the one of that name."""
    try:
        return os.path.samestat(os.stat(lock), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
