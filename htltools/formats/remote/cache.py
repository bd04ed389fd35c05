"""The cache of object storage: whole files, which never change once they are there, shared by the processes of a machine.

HTL_CACHE/data/SCHEME/BUCKET/KEY is the file, and HTL_CACHE/notes/SCHEME/BUCKET/KEY.json says which version of the object it is. A file is
fetched under another name, checked and renamed. Another version takes its place in the same way: who has the old one open or mapped
keeps it.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread

from htltools.errors import CannotCreate, DataError, HtlError, MissingInput, StorageError
from htltools.formats.remote import server
from htltools.formats.remote.address import address_of, cache_folder, cache_size, cached_path

AT_ONCE = 8  # files that are fetched at a time
Check = Callable[[Path], None]  # raises DataError where a file is damaged

known: dict[str, Path] = {}  # files that this process has asked for: they are not looked for again
folders: dict[str, dict[str, server.Stored]] = {}  # and folders, with what is below them
ahead: dict[str, Thread] = {}  # files that are fetched ahead, and who fetches them
counting = Lock()
room: dict[Path, int] = {}  # bytes that may be fetched before the cache is counted again


def local_path(path: str | Path, check: Check | None = None) -> Path:
    """The file at a path or an address: a path of this machine as it is, and of an object the copy in the cache.

    check: of its content, before it is kept.

    Raises: MissingInput, DataError, TryAgain, DeviceMissing, StorageError, CannotCreate.
    """
    address = address_of(path)
    if address is None:
        return Path(path)
    if address not in known and objects_below(address, check) is not None:
        raise MissingInput(f"{address} is a folder", "name a file")
    return known[address]


def objects_below(address: str, check: Check | None = None) -> dict[str, server.Stored] | None:
    """The objects in a folder, by relative path; None where the address is that of a file, which is fetched.

    Raises: as `local_path`.
    """
    if address in known:
        return None
    if address not in folders:
        found = server.find(address)
        if not isinstance(found, dict):
            fetch(found, check)
            return None
        folders[address] = found
    return folders[address]


def local_folder(address: str, wanted: Callable[[str], bool] = lambda name: True) -> Path:
    """The copy in the cache of a folder, of whose files only those are fetched that are wanted by their relative path; or of a file.

    Hidden files are not fetched. What is gone at the address is gone from the copy.

    Raises: as `local_path`.
    """
    found = objects_below(address)
    if found is None:
        return known[address]
    folder = cached_path(address)
    fetch_all(own for name, own in found.items() if wanted(name) and not f"/{name}".count("/."))
    for above, _, names in os.walk(folder):
        for name in names:
            if os.path.relpath(os.path.join(above, name), folder).replace(os.sep, "/") not in found:
                with suppress(OSError):
                    os.unlink(os.path.join(above, name))
    return folder


def fetch_ahead(address: str, check: Check | None = None) -> None:
    """Begin to fetch a file that will be asked for next, if it is there. Failures are those of who asks for it."""

    def fetching() -> None:
        with suppress(HtlError):
            local_path(address, check)

    if address not in known and address not in ahead:
        ahead[address] = Thread(target=fetching, daemon=True)
        ahead[address].start()


def fetch_all(objects: Iterable[server.Stored], check: Check | None = None) -> None:
    """Fetch objects, several at a time; after the first failure no more are begun."""
    from concurrent.futures import ThreadPoolExecutor  # with the libraries below, only where something is fetched

    objects = list(objects)
    missing = sum(own.size for own in objects if not is_cached(own))
    reserve(cache_folder(), missing)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            list(pool.map(lambda own: fetch(own, check, reserved=True), objects))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def fetch(own: server.Stored, check: Check | None = None, *, reserved: bool = False) -> Path:
    """The copy of an object in the cache; it is fetched unless its version is there. reserved: room is made for it already."""
    from htltools.formats.remote.sessions import lock_of, session

    folder, path = cache_folder(), cached_path(own.address)
    try:
        session(folder, os.getpid())
        with lock_of(folder, path):
            note = note_of(path)
            if is_cached(own):
                os.utime(note)
            else:
                if not reserved:
                    reserve(folder, own.size)
                take(own, folder, path, note, check)
    except OSError as error:
        raise CannotCreate(f"cannot write the cache {folder} ({error.strerror or error})", "name another folder with HTL_CACHE") from None
    known[own.address] = path
    return path


def take(own: server.Stored, folder: Path, path: Path, note: Path, check: Check | None) -> None:
    """Fetch an object into the cache."""
    halves = folder / "halves"
    for each in (halves, path.parent, note.parent):
        each.mkdir(parents=True, exist_ok=True)
    half = halves / uuid.uuid4().hex
    try:
        server.download(own, half)
        if check:
            try:
                check(half)
            except DataError as error:
                raise DataError(f"{own.address} is damaged ({str(error).replace(f'{half} ', '')})") from None
        with open(half, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        half.chmod(0o444)
        note.unlink(missing_ok=True)
        os.replace(half, path)
        about = {"version": own.version, "size": own.size, "sha256": digest, "changed": path.stat().st_mtime_ns}
        temporary = note.with_name(f".{uuid.uuid4().hex}")
        temporary.write_text(json.dumps(about))
        os.replace(temporary, note)
    finally:
        half.unlink(missing_ok=True)


def note_of(path: Path) -> Path:
    """The note of a file of the cache."""
    folder = cache_folder()
    return folder / "notes" / path.relative_to(folder / "data").with_name(f"{path.name}.json")


def is_cached(own: server.Stored) -> bool:
    """Whether this version of an object is in the cache, unchanged since it was fetched."""
    path = cached_path(own.address)
    try:
        about, stat = json.loads(note_of(path).read_text()), path.stat()
    except (OSError, ValueError):
        return False
    told = (about.get("version"), about.get("size"), about.get("changed")) if isinstance(about, dict) else None
    return told == (own.version, own.size, stat.st_mtime_ns) and stat.st_size == own.size


def reserve(folder: Path, size: int) -> None:
    """Make room for so many bytes. The cache is counted anew when a hundredth of it has come."""
    from htltools.formats.remote.sessions import make_room, session

    with counting:
        session(folder, os.getpid())
        if room.get(folder, 0) < size:
            spare = cache_size() // 100
            try:
                make_room(folder, size + spare)
            except StorageError:  # it may be just enough
                spare = 0
                make_room(folder, size)
            room[folder] = size + spare
        room[folder] = room.get(folder, 0) - size


def version_of(path: str | Path) -> str | None:
    """The version of the object that a file of the cache is a copy of; None for any other file."""
    if not os.path.abspath(path).startswith(os.path.join(cache_folder(), "data", "")):
        return None
    try:
        return json.loads(note_of(Path(os.path.abspath(path))).read_text())["version"]
    except (OSError, ValueError, KeyError):
        return None
