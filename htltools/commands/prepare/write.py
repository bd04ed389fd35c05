"""How `prepare` writes shards, and sends their rows on."""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htltools import __version__, console
from htltools.commands.prepare.decode import Settings
from htltools.commands.prepare.findings import PrepareFindings
from htltools.commands.prepare.messages import say_issues, say_left_out
from htltools.commands.prepare.quality_checks import QualityChecks
from htltools.commands.prepare.shards import made_by_workers, made_here, made_on_cluster, shards_fit_in_memory
from htltools.commands.prepare.workers import pool
from htltools.commands.shared.cluster import Cluster
from htltools.commands.shared.corrections import Corrections, say_corrections
from htltools.commands.shared.parts import PartRecord, write_part_note
from htltools.core.data_checks import Issue
from htltools.errors import DataError
from htltools.formats.files.atomic import remove_leftovers
from htltools.formats.rows.provenance import Run
from htltools.formats.rows.row import Row
from htltools.formats.rows.stream import RowWriter
from htltools.formats.sources.candidate import Candidate
from htltools.formats.store.shard import SHARD_SAMPLES, read_digests, read_shard, shard_path
from htltools.formats.store.store import plan_of, reusable_shards, write_skips

WORTH_A_PROCESS = 64  # candidates


@dataclass(frozen=True)
class Store:
    """A store to be written: its folder, what it is made from, and how."""

    folder: Path
    candidates: Sequence[Candidate]
    settings: Settings
    history: list[dict[str, Any]]

    def batches(self) -> list[Sequence[Candidate]]:
        """The candidates of each shard."""
        return [self.candidates[start : start + SHARD_SAMPLES] for start in range(0, len(self.candidates), SHARD_SAMPLES)]

    def plan(self) -> str:
        """The digest of all that the store is made from."""
        return plan_of({"htl": __version__, **vars(self.settings)}, (candidate.stamp() for candidate in self.candidates))


def write_store(
    run: Run,
    store: Store,
    findings: PrepareFindings,
    review: Corrections | None,
    record: PartRecord | None,
    inputs: dict[str, str],
    *,
    cluster: Cluster | None,
    jobs: int,
    force: bool,
    strict: bool,
) -> None:
    """Write the shards that are not there yet, and the rows of all, and add to the findings what they hold, lack and look like.

    cluster: that makes the shards, or none. record: of a part, which may be empty; inputs: digests of the tables that were read.

    Raises: CannotCreate, DataError (see `reusable_shards` and `refuse_losses`).
    """
    batches, plan = store.batches(), store.plan()
    standing = reusable_shards(store.folder, len(batches), plan, force=force)
    if standing:
        console.say(f"taking up an earlier run: {len(standing)} of {len(batches)} shards stand")
    todo = {shard_path(store.folder, number): batch for number, batch in enumerate(batches) if number not in standing}
    about: dict[str, Any] = {"plan": plan, "history": store.history, "shards": len(batches)}
    checks, reviewed = QualityChecks(store.settings.frame), list[Row]()

    def so_far() -> str:
        done = sum(shard_path(store.folder, number).is_file() for number in range(len(batches)))
        stand = f"{done} of {len(batches)} shards stand, and" if done else "no shard was finished, but"
        return f"stopped; {stand} the same command takes {store.folder} up"

    with (
        console.hint_if_stopped(so_far),
        nothing_half_written(todo),
        pool(1 if cluster else worthwhile_jobs(jobs, sum(map(len, todo.values())))) as workers,
        RowWriter(run, store.history) as writer,
        console.progress("images", len(store.candidates)) as steps,
    ):
        how = todo, store.settings, steps.advance
        if cluster:
            made = made_on_cluster(cluster, *how, **about)
        elif workers and len(todo) >= 2 * workers.jobs and shards_fit_in_memory(workers.jobs, store.settings.frame):
            made = made_by_workers(workers, *how, **about)
        else:
            made = made_here(workers, *how, **about)
        for number, batch in enumerate(batches):
            path = shard_path(store.folder, number)
            if number in standing:
                steps.advance(len(batch))
            else:
                next(made)
            stored, skips, _ = read_shard(path)
            rows = [Row(row) for row in stored]
            writer.write(rows)
            writer.flush()
            reviewed += [row for row in rows if review and row.id in review.facts]
            issues = [Issue(own["id"], own["kind"], own["reason"]) for own in skips if "kept" in own]
            checks.add_shard(rows, read_digests(path), issues)
            findings.add_shard(rows, [own for own in skips if "kept" not in own])
        writer.skipped = len(findings.skips)
        findings.issues = checks.issues(store.candidates)
        if review:
            say_corrections(review, reviewed, {})
        say_issues(findings)
        write_skips(run, store.folder, findings.lines())
        say_left_out(findings)
        refuse_losses(findings, strict, may_be_empty=record is not None)
        write_part_note(writer, record, None, run, inputs)


@contextmanager
def nothing_half_written(paths: Collection[Path]) -> Iterator[None]:
    """If the work is broken off, remove what workers that were killed have begun to write."""
    try:
        yield
    except BaseException:
        remove_leftovers(*paths)
        raise


def refuse_losses(findings: PrepareFindings, strict: bool, *, may_be_empty: bool) -> None:
    """Refuse where no sample is left, and with `strict` where any was left out or looks wrong.

    Raises: DataError.
    """
    if not findings.kept and not may_be_empty:
        raise DataError("no sample is left", "skips.jsonl says why; --keep-unlabelled keeps images without a box")
    losses = [f"left out: {len(findings.skips)}"] if findings.skips else []
    if findings.issues:
        kinds = Counter(issue.kind for issue in findings.issues)
        losses.append("to look at: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
    if strict and losses:
        raise DataError(f"{'; '.join(losses)}, and --strict was given")


def worthwhile_jobs(jobs: int, count: int) -> int:
    """How many processes are worth starting for so many candidates."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(jobs or available, -(-count // WORTH_A_PROCESS))
