"""How `prepare` writes shards, and sends their rows on."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from htltools import console
from htltools.commands.prepare.decode import Decoded, Work
from htltools.commands.prepare.quality_checks import Doubts
from htltools.commands.prepare.workers import decoded_samples, pool
from htltools.errors import DataError
from htltools.formats.rows.provenance import Run
from htltools.formats.rows.stream import RowWriter
from htltools.formats.sources.candidate import Candidate
from htltools.formats.store.shard import SHARD_SAMPLES, read_digests, read_shard, shard_path, write_shard
from htltools.formats.store.store import standing_shards, write_skips

WORTH_A_PROCESS = 64  # candidates


def write_store(
    run: Run,
    out: Path,
    candidates: list[Candidate],
    work: Work,
    plan: str,
    history: list[dict],
    early_skips: list[dict[str, str]],
    *,
    jobs: int,
    force: bool,
    strict: bool,
) -> tuple[int, list[dict], list[dict]]:
    """Write the shards that are not there yet, and the rows of all: the number of rows, what was left out, and what looks wrong.

    Raises: CannotCreate, DataError (see `standing_shards` and `judge`).
    """
    starts = range(0, len(candidates), SHARD_SAMPLES)
    standing = standing_shards(out, len(starts), plan, force=force)
    if standing:
        console.say(f"taking up an earlier run: {len(standing)} of {len(starts)} shards stand")
    missing = [start for number, start in enumerate(starts) if number not in standing]
    jobs = worthwhile_jobs(jobs, sum(len(candidates[start : start + SHARD_SAMPLES]) for start in missing))
    skips, doubts, several = list(early_skips), Doubts(work.frame), 0
    with pool(jobs) as executor, RowWriter(run, history) as writer, console.progress("images", len(candidates)) as steps:
        todo = (candidate for start in missing for candidate in candidates[start : start + SHARD_SAMPLES])
        made = decoded_samples(executor, todo, work)
        shelves = np.empty((SHARD_SAMPLES, *work.frame, 3), np.uint8), np.empty((SHARD_SAMPLES, *work.frame), np.uint8)
        for number, start in enumerate(starts):
            path, batch = shard_path(out, number), candidates[start : start + SHARD_SAMPLES]
            if number in standing:
                steps.advance(len(batch))
            else:
                fill_shard(path, batch, watched(made, steps.advance), shelves, plan=plan, history=history, shards=len(starts))
            rows, left_out, _ = read_shard(path)
            writer.write(rows)
            writer.flush()
            doubts.take(rows, read_digests(path))
            skips += left_out
            several += sum(len(row.get("boxes", [])) > 1 for row in rows)
        writer.skipped = len(skips)
        doubtful = doubts.lines(candidates)
        write_skips(run, out, skips + doubtful)
        validator(skips, writer.rows, strict)
    if several:
        console.say(f"{several} samples have several boxes: train a net that finds several, such as --model compact_fcos, or see --one-box")
    return writer.rows, skips, doubtful


def watched(samples: Iterator[Decoded], advance: Callable[[int], None]) -> Iterator[Decoded]:
    """The samples, each told to the progress bar."""
    for sample in samples:
        advance(1)
        yield sample


def fill_shard(
    path: Path,
    batch: list[Candidate],
    samples: Iterator[Decoded],
    shelves: tuple[np.ndarray, np.ndarray],  # uint8 [512, H, W, 3] and [512, H, W], used again for each shard
    **about: Any,  # as `write_shard`
) -> None:
    """Write the shard of one batch of candidates from the next samples; each image goes as soon as it is in its place."""
    images, lesion_masks = shelves
    masked = any(candidate.masked or candidate.phantom is not None for candidate in batch)
    rows, skips = [], []
    for candidate, sample in zip(batch, samples):  # in this order: zip takes no sample beyond the batch
        if sample.row is None:
            skips.append({"id": candidate.id, "source": candidate.origin, "reason": sample.reason})
            continue
        index = len(rows)
        images[index] = sample.image
        if masked:
            lesion_masks[index] = 0 if sample.lesion_mask is None else sample.lesion_mask
        rows.append(sample.row | {"index": index})
    write_shard(path, images[: len(rows)], lesion_masks[: len(rows)] if masked else None, rows, skips, **about)


def validator(skips: list[dict[str, str]], kept: int, strict: bool) -> None:
    """Tell what was left out, by reason, and refuse where nothing is left, or where nothing should have been left out.

    Raises: DataError.
    """
    by_reason = Counter(skip["reason"] for skip in skips)
    for reason, count in by_reason.most_common(8):
        examples = [skip["id"] for skip in skips if skip["reason"] == reason][:3]
        console.say(f"left out {count}: {reason} ({', '.join(examples)}{', ...' if count > 3 else ''})")
    if not kept:
        raise DataError("no sample is left", "skips.jsonl says why; --keep-unlabelled keeps images without a box")
    if strict and skips:
        raise DataError(f"left out: {len(skips)}, and --strict was given")


def worthwhile_jobs(jobs: int, count: int) -> int:
    """How many processes are worth starting."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(jobs or available, -(-count // WORTH_A_PROCESS))
