"""What `prepare` says of its findings on stderr."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from htltools import console
from htltools.commands.prepare.findings import DicomFindings, PrepareFindings
from htltools.formats.store.store import SKIPS

EXAMPLES = 3  # ids named of each kind
MOST_NAMES = 12  # columns named
REASONS = 8  # the most frequent, of those for which samples are left out


def say_sources(findings: PrepareFindings) -> None:
    """Say what the headers, the tables and the images hold, and what they do not share."""
    if findings.dicom:
        say_dicom(findings.dicom)
    sources = findings.sources
    for sentence in sources.notes:
        console.say(sentence)
    if sources.unused_lines:
        console.say(f"{sources.unused_lines} names of the table are no image's")
    if sources.unlisted:
        console.say(f"{len(sources.unlisted)} images stand in no line of the table")
    if sources.ignored_boxes:
        console.say("boxes are taken from the masks; those of the table are not used")


def say_understanding(record: dict[str, Any], doubts: Sequence[str]) -> None:
    """Say where ids, groups, labels, splits and boxes come from, and how many samples each split has; doubts also with -q."""
    roles = record["roles"]
    console.say("; ".join(f"{role}: {roles[role] or 'none'}" for role in roles))
    if record["layouts"]:
        console.say(f"layout: {', '.join(record['layouts'])}")
    counts = [f"{split} {own['samples']} of {own['groups']} groups" for split, own in record["samples"].items() if own["samples"]]
    ungrouped = record["without_group"]
    alone = f"; {ungrouped} images are groups of their own" if ungrouped else ""
    console.say(f"samples: {', '.join(counts) or 'none'}{alone}")
    if record["columns_kept"]:
        console.say(f"kept as metadata: {listed(record['columns_kept'])}")
    for table, columns in record["columns_unused"].items():
        console.say(f"not used of {table}: {listed(columns)}")
    for sentence in doubts:
        console.warn(sentence)


def say_dicom(dicom: DicomFindings) -> None:
    """Say what the headers of DICOM files hold, and what people should look at."""
    masks = f", {dicom.segmentations} segmentations, which refer to {dicom.segmented} of the frames" if dicom.segmentations else ""
    console.say(f"DICOM: {dicom.files} files, {dicom.frames} frames{masks}")
    console.explain("transfer syntaxes: " + ", ".join(f"{count} {name}" for name, count in dicom.syntaxes.most_common()))
    if dicom.burned_in:
        console.say(f"{dicom.burned_in} frames are declared to have text burned in, which may name patients (meta.burned_in)")
    if dicom.patients == 1 and dicom.files > 1:
        console.say("all DICOM files are of one patient, or their PatientID was blanked: --group-column can name the groups")


def say_issues(findings: PrepareFindings) -> None:
    """Say what looks wrong and is kept, by kind."""
    for kind, count in Counter(issue.kind for issue in findings.issues).most_common():
        ids = [issue.id for issue in findings.issues if issue.kind == kind]
        console.say(f"look at {count}: {kind} ({examples(ids)})")


def say_left_out(findings: PrepareFindings) -> None:
    """Say what was left out, by reason."""
    for reason, count in Counter(skip["reason"] for skip in findings.skips).most_common(REASONS):
        ids = [skip["id"] for skip in findings.skips if skip["reason"] == reason]
        console.say(f"left out {count}: {reason} ({examples(ids)})")


def say_store(findings: PrepareFindings, out: Path) -> None:
    """Say what the finished store holds."""
    if findings.several:
        several = f"{findings.several} samples have several boxes"
        console.say(f"{several}: train a net that finds several, such as --arch compact_fcos, or see --one-box")
    annotation = {"annotated": findings.annotated, "known to be empty": findings.empty, "not annotated": findings.unannotated}
    console.say("; ".join(f"{count} {name}" for name, count in annotation.items() if count) or "no sample at all")
    if findings.kept and not findings.annotated:
        console.warn("nothing is annotated: there is no box and no mask to learn from; see --table, --masks, --annotations")
    counts = {"left out": len(findings.skips), "to look at": len(findings.issues)}
    notable = "".join(f", {count} {name}" for name, count in counts.items() if count)
    console.say(f"{findings.kept} samples in {out}{notable}" + (f": see {out / SKIPS}" if notable else ""))


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def examples(ids: Sequence[str]) -> str:
    """The first ids, as "a, b, c, ..."."""
    return ", ".join(ids[:EXAMPLES]) + (", ..." if len(ids) > EXAMPLES else "")
