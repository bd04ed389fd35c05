"""What the cache forgets: files that no running process has asked for, those first that were asked for longest ago.

Each process that uses the cache holds the lock of a file of its own, `sessions/NAME`, as long as it runs. A file of the cache that was
asked for since the oldest of them began may be in use, and stays.
"""

import atexit
import os
import socket
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zlib import crc32

from filelock import FileLock, Timeout

from htltools.errors import StorageError
from htltools.formats.remote.address import cache_size

LOCKS = 256  # files, each for some addresses
GIB = 2**30


@dataclass(frozen=True)
class Entry:
    """A file of the cache: what is noted of it, where it lies, its bytes, and when it was last asked for, in nanoseconds."""

    note: Path
    path: Path
    size: int
    asked: int


@cache
def session(folder: Path, process: int) -> FileLock:
    """The lock that tells that a process uses the cache, held until the process ends."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "sessions").mkdir(exist_ok=True)
    (folder / "locks").mkdir(exist_ok=True)
    held = FileLock(folder / "sessions" / f"{socket.gethostname()}-{process}-{uuid.uuid4().hex[:8]}", thread_local=False)
    held.acquire()
    atexit.register(end, Path(held.lock_file), process)
    os.utime(held.lock_file)  # by the clock of the file system, as all other times here
    return held


def end(path: Path, process: int) -> None:
    """Remove the file of a session when its process ends; those of killed ones go when room is made."""
    if process == os.getpid():  # not in a fork
        with suppress(OSError):
            path.unlink()


def lock_of(folder: Path, path: Path) -> FileLock:
    """The lock of a file of the cache; it may be that of others as well."""
    return FileLock(folder / "locks" / f"{crc32(os.fsencode(path)) % LOCKS:02x}")


def make_room(folder: Path, wanted: int) -> None:
    """Forget files until `wanted` bytes more have room.

    Raises: StorageError where running processes need all that is there.
    """
    entries, room = entries_of(folder), cache_size() - wanted
    held = sum(entry.size for entry in entries)
    if held > room:
        since = oldest_session(folder)
        for entry in sorted(entries, key=lambda entry: (entry.asked, str(entry.path))):
            if held <= room:
                return
            if entry.asked < since and forgotten(folder, entry, since):
                held -= entry.size
    if held > room:
        size = f"{cache_size() / GIB:.4g} GiB"
        cause = f"the cache {folder} may hold {size}, and what is in use takes {held / GIB:.4g} GiB beside {wanted / GIB:.4g} more"
        raise StorageError(cause, "raise HTL_CACHE_SIZE, or wait for the other runs")


def entries_of(folder: Path) -> list[Entry]:
    """All files of the cache."""
    entries = []
    for above, _, names in os.walk(folder / "notes"):
        for name in names:
            note = Path(above, name)
            path = folder / "data" / note.relative_to(folder / "notes").with_name(name.removesuffix(".json"))
            with suppress(OSError):  # another process has just forgotten it
                entries.append(Entry(note, path, path.stat().st_size, note.stat().st_mtime_ns))
    return entries


def oldest_session(folder: Path) -> int:
    """When the oldest process that uses the cache began, in nanoseconds. What processes that ended have left is removed."""
    started = []
    for path in (folder / "sessions").iterdir():
        with suppress(OSError):
            began, lock = path.stat().st_mtime_ns, FileLock(path, timeout=0)
            try:
                with lock:
                    path.unlink()
            except Timeout:
                started.append(began)
    since = min(started)  # at least our own
    for half in (folder / "halves").glob("*"):
        with suppress(OSError):
            if half.stat().st_mtime_ns < since:
                half.unlink()
    return since


def forgotten(folder: Path, entry: Entry, since: int) -> bool:
    """Remove an entry, unless another process has it, or has asked for it by now; whether it is gone."""
    try:
        with lock_of(folder, entry.path).acquire(timeout=0), suppress(OSError):
            if entry.note.stat().st_mtime_ns < since:
                entry.note.unlink()  # first: a file without a note is fetched anew
                entry.path.unlink()
                return True
    except Timeout:
        pass
    return False
