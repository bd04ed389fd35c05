"""How shards are made of candidates: in this process, with others that decode, or by a node of a cluster."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from htltools.commands.prepare.decode import Sample, Settings, Skip
from htltools.commands.prepare.workers import Workers, count_done, decoded_samples, loss_of_a_worker_explained
from htltools.commands.shared.cluster import Cluster
from htltools.commands.shared.memory import physical_memory
from htltools.errors import DataError, MissingInput
from htltools.formats.files.atomic import remove_leftovers
from htltools.formats.rows.row import Row
from htltools.formats.sources.candidate import Candidate
from htltools.formats.store.shard import SHARD_SAMPLES, plan_of_shard, write_shard

Advance = Callable[[int], None]  # counts images as done
MEMORY_SHARE = 0.25  # of the memory, that the shards of all workers may take
SHARED = "all nodes must see the same files under the same names, see RAY CLUSTERS in htl(1)"


def made_here(
    executor: Executor | None, todo: Mapping[Path, Sequence[Candidate]], settings: Settings, advance: Advance, **about: Any
) -> Iterator[Path]:
    """Make the shards of batches of candidates, each when it is asked for; others are decoded ahead. about: as `write_shard`."""
    samples = with_progress(decoded_samples(executor, chain.from_iterable(todo.values()), settings), advance)
    size = max(map(len, todo.values()), default=0), *settings.frame
    buffers = np.empty((*size, 3), np.uint8), np.empty(size, np.uint8)
    for path, batch in todo.items():
        write_next_shard(path, batch, samples, buffers, **about)
        yield path


def made_by_workers(
    workers: Workers, todo: Mapping[Path, Sequence[Candidate]], settings: Settings, advance: Advance, **about: Any
) -> Iterator[Path]:
    """As `made_here`: each shard by one worker, from the images to the file, so that no image goes from process to process.

    A few shards more than there are workers are at work or done before they are asked for.

    Raises: TryAgain where a worker was killed.
    """
    waiting, ahead, seen = iter(todo.items()), deque[Future[Path]](), 0
    with loss_of_a_worker_explained():
        for _ in todo:
            while len(ahead) <= workers.jobs and (order := next(waiting, None)):
                ahead.append(workers.submit(make_shard, *order, settings, about))
            finished = False
            while not finished:
                finished = bool(wait([ahead[0]], 0.2).done)
                before, seen = seen, workers.done.value
                advance(seen - before)
            yield ahead.popleft().result()


def make_shard(path: Path, batch: Sequence[Candidate], settings: Settings, about: dict[str, Any]) -> Path:
    """Make one shard in a worker, one image after the other."""
    for _ in made_here(None, {path: batch}, settings, count_done, **about):
        pass
    return path


def shards_fit_in_memory(jobs: int, frame: tuple[int, int]) -> bool:
    """Whether each worker may hold a whole shard, of images in (H, W) and their masks."""
    return jobs * SHARD_SAMPLES * math.prod(frame) * 4 <= MEMORY_SHARE * physical_memory()


def made_on_cluster(
    cluster: Cluster, todo: Mapping[Path, Sequence[Candidate]], settings: Settings, advance: Advance, **about: Any
) -> Iterator[Path]:
    """As `made_here`: each shard by one task on a node, from the images to the file, as many at a time as there is room for.

    Tasks rather than actors, as nothing is kept from shard to shard: one whose node is lost starts anew on any other.

    Raises: MissingInput where nodes do not see the files that are here, or the other way round.
    """
    orders = (ShardOrder(path, batch, missing_files(batch)) for path, batch in todo.items())
    for path in cluster.results(ShardMaker, (settings, about), orders, actors=False):
        if not path.is_file():
            raise MissingInput(f"{path}, which a node has written, is not here", SHARED)
        advance(len(todo[path]))
        yield path


@dataclass(frozen=True)
class ShardOrder:
    """A shard to be made on a node; missing: files that are not where they should be, for the caller as well."""

    path: Path
    batch: Sequence[Candidate]
    missing: frozenset[str]


@dataclass(frozen=True)
class ShardMaker:
    """Makes shards on a node. One that stands is left as it is, so that a task may run twice."""

    settings: Settings
    about: dict[str, Any]

    def __call__(self, order: ShardOrder) -> Path:
        """Make a shard. Raises: MissingInput."""
        if not stands(order.path, self.about["plan"]):
            refuse_unseen(order.batch, order.missing)
            remove_leftovers(order.path)  # of a task that was killed
            for _ in made_here(None, {order.path: order.batch}, self.settings, lambda count: None, **self.about):
                pass
        return order.path


def stands(path: Path, plan: str) -> bool:
    """Whether a shard is there that was made by a plan."""
    try:
        return path.is_file() and plan_of_shard(path) == plan
    except DataError:
        return False


def files_of(candidates: Iterable[Candidate]) -> Iterator[str]:
    """The files that are read of candidates."""
    for candidate in candidates:
        yield from (path for path in (candidate.image, *candidate.masks, *dict(candidate.segments or ())) if path)


def missing_files(candidates: Iterable[Candidate]) -> frozenset[str]:
    """The files of candidates that are not there: not an error, but a reason to leave them out."""
    return frozenset(path for path in files_of(candidates) if not Path(path).exists())


def refuse_unseen(candidates: Iterable[Candidate], missing: frozenset[str]) -> None:
    """Refuse to work where a file is not seen that the caller of a cluster sees.

    Raises: MissingInput.
    """
    if unseen := missing_files(candidates) - missing:
        more = f" and {len(unseen) - 1} more" if len(unseen) > 1 else ""
        raise MissingInput(f"{min(unseen)}{more} cannot be read", SHARED)


def with_progress(samples: Iterator[Sample | Skip], advance: Callable[[int], None]) -> Iterator[Sample | Skip]:
    """The samples, each a step of a progress bar."""
    for sample in samples:
        advance(1)
        yield sample


def write_next_shard(
    path: Path,
    batch: Sequence[Candidate],
    samples: Iterator[Sample | Skip],
    buffers: tuple[np.ndarray, np.ndarray],  # uint8 [512, H, W, 3] and [512, H, W], used again for each shard
    **about: Any,  # as `write_shard`
) -> None:
    """Write the shard of one batch of candidates from the next samples; each image is released once it is copied to its place."""
    images, lesion_masks = buffers
    masked = any(own.masked or own.phantom is not None or has_outlines(own) for own in batch)
    rows: list[Row] = []
    skips: list[dict[str, Any]] = []  # with what looks wrong and is kept
    for candidate, sample in zip(batch, samples):  # in this order: zip takes no sample beyond the batch
        if isinstance(sample, Skip):
            skips.append({"id": candidate.id, "source": candidate.origin, "reason": sample.reason})
            continue
        index = len(rows)
        images[index] = sample.image
        if masked:
            lesion_masks[index] = 0 if sample.lesion_mask is None else sample.lesion_mask
        rows.append(sample.row.changed(index=index))
        skips += [{"id": candidate.id, "kind": issue.kind, "reason": issue.reason, "kept": True} for issue in sample.issues]
    write_shard(path, images[: len(rows)], lesion_masks[: len(rows)] if masked else None, rows, skips, **about)


def has_outlines(candidate: Candidate) -> bool:
    """Whether there are outlines to make a lesion mask of."""
    return any(facts is not None and facts.outlines is not None for facts in (candidate.facts, candidate.correction))
