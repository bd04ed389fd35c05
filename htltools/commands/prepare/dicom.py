"""The DICOM files of `prepare`: all headers are read before any image is decoded, and each frame becomes a candidate."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from htltools import console
from htltools.commands.prepare.findings import DicomFindings
from htltools.errors import DataError, UsageError
from htltools.formats.dicom.deidentified_tags import DeidentifiedHeader, deidentified_header, new_key, read_key
from htltools.formats.dicom.file import is_decodable, uid_name
from htltools.formats.dicom.segmentation import Segmentations
from htltools.formats.sources.candidate import Candidate
from htltools.formats.sources.folders import keep_first
from htltools.formats.sources.source_findings import Findings

INSTALL = "pip install 'htltools[dicom]'"


def expand_dicoms(findings: Findings, made_key: Callable[[], bytes] | None) -> DicomFindings | None:
    """Replace each DICOM candidate by one for each of its frames, with what its header says under keyed names.

    Segmentations become masks of what they refer to. None where no source holds DICOM. `made_key` gives the key of names, where one is
    needed; None: images have the names of their files, and no group.

    Raises: DataError where decoders are missing; as `made_key`.
    """
    files = [candidate for candidate in findings.candidates if candidate.dicom]
    if not files and not findings.dicom_masks:
        return None
    key = made_key() if made_key else secrets.token_bytes(32)  # that nobody has: it only joins segmentations with images
    described = list(readable_files(files, key, findings))
    check_decoders(Counter(header.syntax for _, header in described))
    own = [candidate.image for candidate, header in described if header.segmentation]
    segmentations, paths = read_segmentations([*own, *sorted(findings.dicom_masks)], key, findings)
    frames = []
    for candidate, header in described:
        if is_decodable(header.syntax) is None:
            skip(findings, candidate, f"no decoder knows its transfer syntax ({uid_name(header.syntax)})")
        elif not header.segmentation:
            several = frames_of(candidate, header, segmentations, paths)
            frames += several if made_key else [named_by_file(frame, candidate.id) for frame in several]
    segmented = sum(candidate.segments is not None for candidate in frames)
    if segmented:  # then an image that no segmentation refers to has no boxes, like one without a mask
        findings.labelled = True
        frames = [replace(candidate, masked=candidate.masked or candidate.facts.boxes is None) for candidate in frames]
    others = [candidate for candidate in findings.candidates if not candidate.dicom]
    findings.candidates = []
    keep_first(sorted(others + frames, key=lambda candidate: candidate.id), findings)
    return DicomFindings(
        files=len(described),
        frames=len(frames),
        segmentations=len(paths),
        segmented=segmented,
        syntaxes=Counter(uid_name(header.syntax) for _, header in described),
        burned_in=sum(bool(candidate.facts.meta.get("burned_in")) for candidate in frames),
        patients=len({candidate.facts.group for candidate in frames}),
    )


def named_by_file(frame: Candidate, name: str) -> Candidate:
    """A frame under the name of its file, without a group, which would be made with a key that nobody has."""
    number = f"-{frame.frame:04d}" if frame.frame else ""
    return replace(frame, id=name + number, facts=replace(frame.facts, group=None))


def key_of(id_key: Path | None, out: Path, part: bool) -> bytes:
    """The key that ids are made with: that of the file named, or of one beside the store, which is made where it is missing.

    Raises: UsageError where no file is named, and the store is a part: each part would have other ids and groups.
    """
    if id_key:
        return read_key(id_key)
    if part:
        raise UsageError("parts of DICOM need one key of ids", "make it, 32 random bytes in a file, and name it with --id-key")
    beside = out.parent / f"{out.name}.id-key"
    if beside.exists():
        return read_key(beside)
    console.say(f"ids are made with the new key {beside}: keep it to yourself, and give it to --id-key for more stores of these patients")
    return new_key(beside)


def readable_files(files: list[Candidate], key: bytes, findings: Findings) -> Iterator[tuple[Candidate, DeidentifiedHeader]]:
    """The candidates whose headers can be read, each with what is kept of it; the others are left out."""
    with console.progress("DICOM headers", len(files)) as steps:
        for candidate in files:
            try:
                yield candidate, deidentified_header(candidate.image, key)
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
        kinds = ", ".join(f"{count} of {uid_name(syntax)}" for syntax, count in missing.items())
        raise DataError(f"decoders are missing for {sum(missing.values())} of {syntaxes.total()} DICOM files ({kinds})", INSTALL)


def read_segmentations(paths: Iterable[str], key: bytes, findings: Findings) -> tuple[Segmentations, set[str]]:
    """Index of DICOM SEG references, and the SEG paths read. Files in folders of masks that are no SEG are passed over."""
    segmentations, read = Segmentations(), set()
    for path in paths:
        try:
            if path in findings.dicom_masks and not deidentified_header(path, key).segmentation:
                continue  # an image of a mask, known by its name
            read.add(path)
            segmentations.add(path, key)
        except DataError as error:
            skip(findings, Candidate(Path(path).name, path), str(error))
    return segmentations, read


def frames_of(candidate: Candidate, header: DeidentifiedHeader, segmentations: Segmentations, paths: set[str]) -> list[Candidate]:
    """One candidate for each frame of a file; `paths`: files that are segmentations, and no masks by their names.

    Boxes of a table and a mask by name do not say which frame they mean: of a file of several they are not used.
    """
    several, facts = header.frames > 1, candidate.facts
    masks = () if several else tuple(mask for mask in candidate.masks if mask not in paths)
    facts = replace(facts, group=facts.group or header.group, meta=header.meta | facts.meta, boxes=None if several else facts.boxes)
    frames = []
    for number in range(1, header.frames + 1):
        frame = number if several else None
        segments = None if masks else segmentations.segments(header.instance, header.series, header.position, frame)
        frames.append(
            replace(
                candidate,
                id=f"{header.instance}-{number:04d}" if several else header.instance,
                masks=masks,
                facts=facts if segments is None else replace(facts, boxes=None),
                masked=candidate.masked or segments is not None,
                frame=frame,
                segments=segments,
            )
        )
    return frames
