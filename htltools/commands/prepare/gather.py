"""The samples that `prepare` is to make: from folders, lists, tables and DICOM headers, or synthetic ones; each with its split."""

import codecs
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from htltools.commands.prepare.dicom import expand_dicoms, key_of
from htltools.commands.prepare.findings import PrepareFindings
from htltools.commands.shared.corrections import Corrections, read_corrections
from htltools.core.sampling.splits import settled_splits
from htltools.formats.rows.row import Row
from htltools.formats.rows.stream import check_groups
from htltools.formats.sources.candidate import Candidate
from htltools.formats.sources.folders import Naming, find_candidates
from htltools.formats.sources.source_findings import Findings
from htltools.formats.tables.csv_table import Columns
from htltools.formats.tables.facts import Facts


def gather(sources: Sequence[str], naming: Naming, *, id_key: Path | None, out: Path, limit: int | None, part: bool) -> PrepareFindings:
    """The first `limit` candidates of the sources, `-` for the paths on stdin, and what is known of them before an image is decoded.
    `part`: whether other calls prepare other parts of them.

    Raises: MissingInput, DataError as `find_candidates` and `expand_dicoms`.
    """
    paths = list_lines(sys.stdin.buffer.read()) if "-" in sources else []
    findings = find_candidates(sources, paths, naming)
    dicom = expand_dicoms(findings, partial(key_of, id_key, out, part))
    give_up(findings, naming.columns)
    findings.candidates = findings.candidates[:limit]
    return PrepareFindings(findings, dicom)


def correct(findings: PrepareFindings, path: Path) -> Corrections:
    """Give each candidate what a review says of it.

    Raises: as `read_corrections`.
    """
    candidates = findings.candidates
    corrections = read_corrections(path, [each.id for each in candidates], [each.image or each.id for each in candidates])
    for candidate in candidates:
        candidate.correction = corrections.facts.get(candidate.id)
    findings.sources.labelled = True
    findings.sources.files[str(path)] = path
    return corrections


def give_up(findings: Findings, columns: Columns) -> None:
    """Leave out groups, splits and labels, wherever they come from, where their column is `none`: folders and headers name some as well."""
    given_up = [name for name in ("group", "split", "label") if getattr(columns, name) in ("", "none")]
    if given_up:
        nothing: dict[str, Any] = dict.fromkeys(given_up)
        findings.candidates = [replace(each, facts=replace(each.facts, **nothing)) for each in findings.candidates]
        findings.roles |= {f"{name}s": f"none (--{name}-column)" for name in given_up}


def list_lines(data: bytes) -> list[str]:
    """The lines of a list of paths, or its parts where they are separated by NUL, as `find -print0` does; UTF-16 as PowerShell writes it.

    >>> list_lines(b"a.png\\r\\nb.png\\n"), list_lines(b"a.png\\0b\\nc.png\\0")
    (['a.png', 'b.png'], ['a.png', 'b\\nc.png', ''])
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16", "replace").encode()
    data = data.removeprefix(codecs.BOM_UTF8)
    parts = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [os.fsdecode(part) for part in parts]


def gather_phantoms(count: int, seed: int, limit: int | None) -> PrepareFindings:
    """The first `limit` of so many synthetic samples; those that show one lesion are one group."""
    from htltools.core.synthetic.phantom import lesion_of

    candidates = [
        Candidate(f"phantom_{i:05d}", phantom=i, facts=Facts(group=f"P{lesion_of(seed, i):05d}")) for i in range(min(count, limit or count))
    ]
    return PrepareFindings(Findings(candidates, labelled=True))


def assign_splits(findings: PrepareFindings, shares: Sequence[float], seed: int) -> None:
    """Give each candidate its split: that of the table or its folder, else that of its group, else one by hash of the group.

    Raises: DataError where one group would be in two.
    """
    candidates, roles = findings.candidates, findings.sources.roles
    sources = f"groups: {roles.get('groups') or 'DICOM PatientID'}; splits: {roles.get('splits')}"
    remedy = "--split-column none draws splits of whole groups, --group-column none gives the groups up"
    rows = (Row(id=c.id, group=c.facts.group, split=c.facts.split) for c in candidates)
    check_groups(rows, f"{sources}; {remedy}")
    groups = [candidate.facts.group or candidate.id for candidate in candidates]
    for candidate, split in zip(candidates, settled_splits(groups, [c.facts.split for c in candidates], shares, seed), strict=True):
        candidate.split = split
