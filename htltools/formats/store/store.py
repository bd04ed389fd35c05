"""Stores: folders of shards, those of an earlier run that can be reused, and the list of samples left out."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from htltools.errors import CannotCreate, DataError, MissingInput
from htltools.formats.files.atomic import replacing
from htltools.formats.remote.address import address_of
from htltools.formats.remote.cache import objects_below
from htltools.formats.rows.jsonlines import compact_json
from htltools.formats.rows.provenance import Run
from htltools.formats.rows.stream import RowWriter
from htltools.formats.store import safe_hdf5
from htltools.formats.store.shard import open_shard, plan_of_shard, read_shard, shard_path

SHARD = re.compile(r"[0-9][^/]*\.h5")
SKIPS = "skips.jsonl"


def plan_of(parameters: dict[str, Any], stamps: Iterable[Any]) -> str:
    """The digest of everything that a store is made from: parameters, and the stamp of each candidate."""
    digest = hashlib.sha256(compact_json(parameters))
    for stamp in stamps:
        digest.update(b"\n" + compact_json(stamp))
    return digest.hexdigest()


def make_folder(folder: Path) -> None:
    """Make the folder of a store, unless it is there.

    Raises: CannotCreate.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotCreate(f"cannot create the folder {folder} ({str(error.strerror).lower()})") from None


def reusable_shards(folder: Path, count: int, plan: str, *, force: bool) -> set[int]:
    """Numbers of the shards that an earlier run made by the same plan. With `force`, all others are removed.

    Raises: CannotCreate where there are shards of another plan; DataError where one is damaged.
    """
    for leftover in [*folder.glob(".[0-9]*.h5.*.tmp"), *folder.glob(f".{SKIPS}.*.tmp")]:  # of a run that was killed
        leftover.unlink(missing_ok=True)
    standing = {int(path.stem): path for path in folder.glob("[0-9]*.h5") if path.stem.isdecimal()}
    ours = {
        number for number, path in standing.items() if number < count and path == shard_path(folder, number) and made_by(path, plan, force)
    }
    others = [path for number, path in sorted(standing.items()) if number not in ours]
    if others and not force:
        remedy = "replace it with --force, or name another folder with -o"
        raise CannotCreate(f"{folder} holds a store of other sources or parameters", remedy)
    for path in others:
        path.unlink()
    return ours


def made_by(path: Path, plan: str, force: bool) -> bool:
    """Whether a shard was made by that plan. With `force`, a damaged one was not.

    Raises: DataError where it is damaged, without `force`.
    """
    try:
        return plan_of_shard(path) == plan
    except DataError:
        if force:
            return False
        raise


def write_skips(run: Run, folder: Path, skips: Iterable[dict[str, Any]]) -> Path:
    """Write skips.jsonl: {id, source, reason} of the samples left out, and with kept: true of those that look wrong and were kept.

    Begin and end notes stand around the lines as around rows, so that the file can be checked like rows.
    """
    path = folder / SKIPS
    with replacing(path) as temporary, open(temporary, "wb") as file, RowWriter(run, [], out=file) as writer:
        writer.write(skips)
    return path


def store_lines(folder: Path, *, partial: bool = False) -> Iterator[bytes]:
    """The rows of a finished store as lines of the stream, without notes; with `partial` of an unfinished one as well.

    Raises: as `shards_of`.
    """
    for path in shards_of(folder, partial=partial):
        for row in read_shard(path)[0]:
            yield compact_json(row) + b"\n"


def store_size(folder: Path) -> int:
    """The number of samples of a store, of the shards that there are."""
    count = 0
    for path in folder.glob("[0-9]*.h5"):
        with open_shard(path) as file:
            count += len(file["images"])
    return count


def shards_of(folder: Path, *, partial: bool = False) -> list[Path]:
    """The shards of a store, in their order.

    Raises: MissingInput where there is none; DataError where some are missing, unless `partial`, or one is damaged.
    """
    if address := address_of(folder):
        names = [name for name in objects_below(address) or () if SHARD.fullmatch(name)]
        paths = [folder / name for name in sorted(names)]
    else:
        paths = sorted(folder.glob("[0-9]*.h5"))
    if not paths:
        raise MissingInput(f"{folder} holds no shards (00000.h5 and so on)", "make a store with htl prepare")
    with open_shard(paths[0]) as file:
        count = safe_hdf5.attribute(file, "shards")
        if not isinstance(count, int):
            raise ValueError("it does not count the shards of its store")
    whole = len(paths) == count and paths == [shard_path(folder, number) for number in range(len(paths))]
    if not whole and not partial:
        raise DataError(f"{folder} holds {len(paths)} of {count} shards", "finish it with the same htl prepare, or take it with --partial")
    return paths
