"""What `prepare` says of its findings on stderr."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from htltools import console
from htltools.commands.prepare.findings import DicomFindings, PrepareFindings
from htltools.formats.store.store import SKIPS

EXAMPLES = 3  # ids named of each kind
REASONS = 8  # the most frequent, of those for which samples are left out


def say_sources(findings: PrepareFindings) -> None:
    """Say what the headers, the tables and the images hold, and what they do not share."""
    if findings.dicom:
        say_dicom(findings.dicom)
    sources = findings.sources
    for sentence in (*sources.notes, *sources.doubts):
        console.say(sentence)
    if without := sources.masks_without_image:
        console.say(f"{len(without)} masks are of no image ({examples([Path(path).name for path in without])})")
    if unused := sources.unused_files:
        console.say(f"{unused.total()} images lie in folders that are not used ({examples(list(unused))})")
    if kinds := sources.other_kinds:
        console.say(f"images of other kinds are not read: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}")
    if sources.unused_lines:
        console.say(f"{sources.unused_lines} names of the table are no image's")
    if sources.unlisted:
        console.say(f"{len(sources.unlisted)} images stand in no line of the table")
    if sources.ignored_boxes:
        console.say("boxes are taken from the masks; those of the table are not used")


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
    counts = {"left out": len(findings.skips), "to look at": len(findings.issues)}
    notable = "".join(f", {count} {name}" for name, count in counts.items() if count)
    console.say(f"{findings.kept} samples in {out}{notable}" + (f": see {out / SKIPS}" if notable else ""))


def examples(ids: Sequence[str]) -> str:
    """The first ids, as "a, b, c, ..."."""
    return ", ".join(ids[:EXAMPLES]) + (", ..." if len(ids) > EXAMPLES else "")
