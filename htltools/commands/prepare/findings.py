"""What `prepare` finds out on its way, gathered here and printed by `messages`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from htltools.commands.shared.parts import PartRecord, candidates_of_part
from htltools.core.data_checks import Issue
from htltools.formats.rows.row import Row
from htltools.formats.sources.candidate import Candidate
from htltools.formats.sources.source_findings import Findings


@dataclass(frozen=True)
class DicomFindings:
    """What the headers of all DICOM files say."""

    files: int
    frames: int
    segmentations: int  # files of segmentations
    segmented: int  # frames that these refer to
    syntaxes: Counter[str]  # files by name of their transfer syntax
    burned_in: int  # frames that are declared to have text burned in
    patients: int


@dataclass
class PrepareFindings:
    """What was understood of the sources, what is left out, and what looks wrong and is kept."""

    sources: Findings
    dicom: DicomFindings | None = None
    skips: list[dict[str, str]] = field(default_factory=list)  # left out: {id, source, reason}
    issues: list[Issue] = field(default_factory=list)  # kept, though they look wrong
    kept: int = 0  # samples
    several: int = 0  # samples of several boxes
    annotated: int = 0  # samples with a box
    empty: int = 0  # samples that are known to hold nothing

    def __post_init__(self):
        self.skips += self.sources.skips

    @property
    def candidates(self) -> list[Candidate]:
        """The samples to be prepared, in the order of their ids."""
        return self.sources.candidates

    def keep_part(self, record: PartRecord) -> None:
        """Keep the samples of a part of them, and of what was left out so far that with an id of the part."""
        self.sources.candidates = candidates_of_part(self.candidates, record)
        self.skips = [skip for skip in self.skips if record.part.holds(skip["id"])]

    def add_shard(self, rows: Sequence[Row], skips: Sequence[dict[str, str]]) -> None:
        """Count the samples of a shard, and add what it left out."""
        self.kept += len(rows)
        self.annotated += sum(row.is_annotated for row in rows)
        self.empty += sum(row.boxes == [] for row in rows)
        self.several += sum(len(row.boxes or ()) > 1 for row in rows)
        self.skips += skips

    @property
    def unannotated(self) -> int:
        """Samples that nobody annotated."""
        return self.kept - self.annotated - self.empty

    def lines(self) -> list[dict[str, Any]]:
        """The lines of skips.jsonl: what was left out, then what looks wrong, with `kept`, in the order of ids."""
        origins = {candidate.id: candidate.origin for candidate in self.candidates} if self.issues else {}
        issues = sorted(self.issues, key=lambda issue: issue.id)
        return [*self.skips, *({"id": each.id, "source": origins[each.id], "reason": each.reason, "kept": True} for each in issues)]
