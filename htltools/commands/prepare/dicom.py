"""How `prepare` looks at all DICOM files first, before any is decoded."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from htltools import console
from htltools.errors import DataError
from htltools.formats.dicom.deidentified_tags import Described, describe, new_key, read_key
from htltools.formats.dicom.file import is_decodable, name_of
from htltools.formats.dicom.segmentation import Segmentations
from htltools.formats.sources.candidate import Candidate
from htltools.formats.sources.folders import Findings, keep_first

INSTALL = "pip install 'htltools[dicom]'"


def look_at_dicoms(findings: Findings, id_key: Path | None, out: Path) -> None:
    """Put one candidate for each frame in the place of each DICOM file, with its facts under keyed names.

    Segmentations become masks of what they refer to. Raises: DataError where decoders are missing; see also `key_of`.
    """
    files = [candidate for candidate in findings.candidates if candidate.dicom]
    if not files and not findings.dicom_masks:
        return
    key = key_of(id_key, out)
    others = [candidate for candidate in findings.candidates if not candidate.dicom]
    described = list(readable_ones(files, key, findings))
    check_decoders(Counter(header.syntax for _, header in described))
    segmentations, drawn = segmentations_of(findings, [c.image for c, header in described if header.segmentation], key)
    frames = []
    for candidate, header in described:
        if is_decodable(header.syntax) is None:
            skip(findings, candidate, f"no decoder knows its transfer syntax ({name_of(header.syntax)})")
        elif not header.segmentation:
            frames += frames_of(candidate, header, segmentations, drawn)
    if any(candidate.segments is not None for candidate in frames):  # then an image without any has no boxes, like one without a mask
        findings.labelled = True
        frames = [replace(candidate, masked=candidate.masked or candidate.facts.boxes is None) for candidate in frames]
    findings.candidates = []
    keep_first(sorted(others + frames, key=lambda candidate: candidate.id), findings)
    tell(described, frames, len(drawn))


def key_of(id_key: Path | None, out: Path) -> bytes:
    """The key that ids are made with: the file named, or one beside the store, made where it is missing."""
    if id_key:
        return read_key(id_key)
    beside = out.parent / f"{out.name}.id-key"
    if beside.exists():
        return read_key(beside)
    console.say(f"ids are made with the new key {beside}: keep it to yourself, and give it to --id-key for more stores of these patients")
    return new_key(beside)


def readable_ones(files: list[Candidate], key: bytes, findings: Findings):
    """The candidates whose headers can be read, each with what is kept of it."""
    with console.progress("DICOM headers", len(files)) as steps:
        for candidate in files:
            try:
                yield candidate, describe(candidate.image, key)
            except DataError as error:
                skip(findings, candidate, str(error))
            steps.advance(1)


def skip(findings: Findings, candidate: Candidate, reason: str) -> None:
    """Leave a file out."""
    findings.skips.append({"id": candidate.id, "source": candidate.origin, "reason": reason})


def check_decoders(syntaxes: Counter) -> None:
    """Refuse the whole run where a decoder could be installed.

    Raises: DataError with counts, names and the line that installs it.
    """
    missing = {syntax: count for syntax, count in syntaxes.most_common() if is_decodable(syntax) is False}
    if missing:
        listed = ", ".join(f"{count} of {name_of(syntax)}" for syntax, count in missing.items())
        raise DataError(f"decoders are missing for {sum(missing.values())} of {syntaxes.total()} DICOM files ({listed})", INSTALL)


def segmentations_of(findings: Findings, paths: list[str], key: bytes) -> tuple[Segmentations, set[str]]:
    """What all segmentations speak of, and the paths of those that were read; those in folders of masks are among them."""
    found, drawn = Segmentations(), set()
    for path in [*paths, *sorted(findings.dicom_masks)]:
        named = Candidate(Path(path).name, path)
        try:
            if path in findings.dicom_masks and not describe(path, key).segmentation:
                continue  # an image of a mask, known by its name
            drawn.add(path)
            found.add(path, key)
        except DataError as error:
            skip(findings, named, str(error))
    return found, drawn


def frames_of(candidate: Candidate, header: Described, segmentations: Segmentations, drawn: set[str]) -> list[Candidate]:
    """One candidate for each frame of a file.

    Boxes of a table and a mask by name do not say which frame they mean: of a file of several they are not used.
    """
    several, told = header.frames > 1, candidate.facts
    mask = None if several or candidate.mask in drawn else candidate.mask
    facts = replace(told, group=told.group or header.group, meta=header.meta | told.meta, boxes=None if several else told.boxes)
    made = []
    for frame in range(1, header.frames + 1):
        number = frame if several else None
        segments = segmentations.segments(header.instance, header.series, header.position, number) if not mask else None
        masked = candidate.masked or segments is not None
        name = f"{header.instance}-{frame:04d}" if several else header.instance
        boxes = replace(facts, boxes=None) if segments is not None else facts
        made.append(replace(candidate, id=name, mask=mask, facts=boxes, masked=masked, frame=number, segments=segments))
    return made


def tell(described: list[tuple[Candidate, Described]], frames: list[Candidate], drawn: int) -> None:
    """Say what was found, and what people should look at."""
    syntaxes = Counter(name_of(header.syntax) for _, header in described).most_common()
    segmented = sum(candidate.segments is not None for candidate in frames)
    masks = f", {drawn} segmentations, which speak of {segmented} of the frames" if drawn else ""
    console.say(f"DICOM: {len(described)} files, {len(frames)} frames{masks}")
    console.explain("transfer syntaxes: " + ", ".join(f"{count} {name}" for name, count in syntaxes))
    burned = sum(bool(candidate.facts.meta.get("burned_in")) for candidate in frames)
    if burned:
        console.say(f"{burned} frames are declared to have text burned in, which may name patients (meta.burned_in)")
    groups = {candidate.facts.group for candidate in frames}
    if len(groups) == 1 and len(described) > 1:
        console.say("all DICOM files are of one patient, or their PatientID was blanked: --group-column can name the groups")
