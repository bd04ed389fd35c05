"""How `prepare` writes shards, and sends their rows on."""

import os
from collections import Counter
from pathlib import Path

import numpy as np

from htltools import console
from htltools.commands._decoding import Decoded, Work
from htltools.commands._workers import decoded_shards, pool
from htltools.errors import DataError
from htltools.formats.provenance import Run
from htltools.formats.shards import standing_shards, write_skips
from htltools.formats.source import Candidate
from htltools.formats.store import SHARD_SAMPLES, read_shard, shard_path, write_shard
from htltools.formats.stream import RowWriter

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
) -> tuple[int, list[dict[str, str]]]:
    """Write the shards that are not there yet, and the rows of all: the number of rows, and what was left out.

    Raises: CannotCreate, DataError (see `standing_shards` and `judge`).
    """
    batches = [(k, candidates[i : i + SHARD_SAMPLES]) for k, i in enumerate(range(0, len(candidates), SHARD_SAMPLES))]
    standing = standing_shards(out, len(batches), plan, force=force)
    if standing:
        console.say(f"taking up an earlier run: {len(standing)} of {len(batches)} shards stand")
    missing = [(k, batch) for k, batch in batches if k not in standing]
    jobs = worthwhile_jobs(jobs, sum(len(batch) for _, batch in missing))
    skips, several = list(early_skips), 0
    with pool(jobs) as executor, RowWriter(run, history) as writer, console.progress("pictures", len(candidates)) as steps:
        made = decoded_shards(executor, missing, work, steps.advance)
        for number, batch in batches:
            path = shard_path(out, number)
            if number in standing:
                steps.advance(len(batch))
            else:
                fill_shard(path, batch, next(made)[1], work.frame, plan, history)
            rows, left_out, _ = read_shard(path)
            writer.write(rows)
            writer.flush()
            skips += left_out
            several += sum(len(row.get("boxes", [])) > 1 for row in rows)
        writer.skipped = len(skips)
        write_skips(out, skips)
        judge(skips, writer.rows, strict)
    if several:
        console.say(f"{several} samples have several boxes; train takes one each: make it so with --one-box union or largest")
    return writer.rows, skips


def fill_shard(path: Path, batch: list[Candidate], samples: list[Decoded], frame: tuple[int, int], plan: str, history: list[dict]) -> None:
    """Write the shard of one batch of candidates."""
    kept = [sample for sample in samples if sample.row]
    for index, sample in enumerate(kept):
        sample.row["index"] = index
    skips = [{"id": c.id, "source": c.origin, "reason": s.reason} for c, s in zip(batch, samples, strict=True) if s.reason]
    images = stacked([sample.picture for sample in kept], (*frame, 3))
    lesion_masks = None
    if any(candidate.masked or candidate.phantom is not None for candidate in batch):
        empty = np.zeros(frame, np.uint8)
        lesion_masks = stacked([empty if sample.lesion_mask is None else sample.lesion_mask for sample in kept], frame)
    write_shard(path, images, lesion_masks, [sample.row for sample in kept], skips, plan=plan, history=history)


def stacked(arrays: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Arrays of that shape in one, uint8 [N, ...]; N may be 0."""
    return np.stack(arrays) if arrays else np.zeros((0, *shape), np.uint8)


def judge(skips: list[dict[str, str]], kept: int, strict: bool) -> None:
    """Tell what was left out, by reason, and refuse where nothing is left, or where nothing should have been left out.

    Raises: DataError.
    """
    by_reason = Counter(skip["reason"] for skip in skips)
    for reason, count in by_reason.most_common(8):
        examples = [skip["id"] for skip in skips if skip["reason"] == reason][:3]
        console.say(f"left out {count}: {reason} ({', '.join(examples)}{', ...' if count > 3 else ''})")
    if not kept:
        raise DataError("no sample is left", "skips.jsonl says why; --keep-unlabelled keeps pictures without a box")
    if strict and skips:
        raise DataError(f"left out: {len(skips)}, and --strict was given")


def worthwhile_jobs(jobs: int, count: int) -> int:
    """How many processes are worth starting."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(jobs or available, -(-count // WORTH_A_PROCESS))
