"""New images for `predict`: found and decoded as `prepare` does it, without its splits and without asking for annotation."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

import numpy as np

from htltools import console
from htltools.commands.predict.batches import Batch, in_memory
from htltools.commands.predict.drawing import Original
from htltools.commands.prepare.decode import Sample, Settings, Skip, decoded
from htltools.commands.prepare.dicom import expand_dicoms
from htltools.commands.prepare.workers import decoded_samples
from htltools.errors import DataError
from htltools.formats.dicom.deidentified_tags import read_key
from htltools.formats.rows.row import Row
from htltools.formats.sources.candidate import UNKNOWN, Candidate
from htltools.formats.sources.folders import EXAMPLES, Naming, find_candidates
from htltools.formats.sources.source_findings import Findings

Skips = list[dict[str, str]]  # {id, source, reason} of images that are left out


def found_images(sources: Sequence[str], listed: Sequence[str], id_key: Path | None, limit: int | None) -> Findings:
    """The first `limit` images of the sources, `-` for the paths listed, with the annotation that lies with them.

    An annotation that cannot be used is left aside. DICOM images have the names of their files as ids, unless there is a key of a store.

    Raises: MissingInput where there is no image; DataError where decoders of DICOM are missing.
    """
    try:
        findings = find_candidates(sources, listed, Naming())
    except DataError as error:
        console.warn(f"the annotation beside the images is not used: {error}")
        findings = find_candidates(sources, listed, Naming(alone=True))
    if findings.unused_files:
        places = ", ".join(list(findings.unused_files)[:EXAMPLES])
        console.warn(f"{findings.unused_files.total()} images lie in folders that are not used ({places}): name these folders as sources")
    for sentence in [*findings.notes, *findings.doubts]:
        console.explain(sentence)
    expand_dicoms(findings, (lambda: read_key(id_key)) if id_key else None)
    findings.candidates = findings.candidates[:limit]
    return findings


def file_batches(
    candidates: Sequence[Candidate], frame: Sequence[int], window: str, executor: Executor | None, size: int, skips: Skips
) -> Iterator[Batch]:
    """Batches of the images of `size` candidates, in the frame [H, W, C], decoded ahead on all cores; unreadable ones are added to `skips`,
    and a batch of none is left out."""
    settings = Settings((frame[0], frame[1]), keep_unlabelled=True, window=window)
    waiting: list[tuple[Row, np.ndarray, Original]] = []
    for count, (candidate, sample) in enumerate(zip(candidates, decoded_samples(executor, candidates, settings)), 1):
        sample = without_annotation(candidate, settings) if isinstance(sample, Skip) else sample
        if isinstance(sample, Skip):
            skips.append({"id": candidate.id, "source": candidate.origin, "reason": sample.reason})
        else:
            original = Original(os.path.abspath(candidate.image), candidate.dicom, candidate.frame or 1, window)
            waiting.append((row_of(candidate, sample), sample.image, original))
        if waiting and (count % size == 0 or count == len(candidates)):
            yield in_memory(waiting)
            waiting = []


def without_annotation(candidate: Candidate, settings: Settings) -> Sample | Skip:
    """An image once more, without its masks and boxes: they may be what could not be read."""
    return decoded(replace(candidate, masks=(), segments=None, masked=False, facts=UNKNOWN), settings)


def row_of(candidate: Candidate, sample: Sample) -> Row:
    """The row of an image that lies in no store."""
    fields = {name: value for name, value in sample.row.items() if name not in ("id", "index", "file", "source_folder", "mask_files")}
    return Row({"id": sample.row.id, "file": candidate.origin, **fields})
