"""What was found in the sources: the candidates, and all that a person should know of how they were understood."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from htltools.formats.sources.candidate import Candidate


@dataclass
class Findings:
    """The candidates of all sources, and what was noticed on the way."""

    candidates: list[Candidate] = field(default_factory=list)
    skips: list[dict[str, str]] = field(default_factory=list)  # {id, source, reason}
    labelled: bool = False  # whether any source of boxes was given, be it masks, a table or annotations
    ignored_boxes: bool = False  # whether boxes of a table gave way to masks
    files: dict[str, Path] = field(default_factory=dict)  # tables and annotations read
    dicom_masks: set[str] = field(default_factory=set)  # DICOM files in folders of masks: segmentations, or images of masks
    roles: dict[str, str] = field(default_factory=dict)  # where groups, labels, splits and boxes come from: {"groups": "column patient_id"}
    layouts: list[str] = field(default_factory=list)  # of folders, as they were recognised
    unused_names: dict[str, list[str]] = field(default_factory=dict)  # names without an image, by the table or file that has them
    unlisted: list[str] = field(default_factory=list)  # ids of images that no table or file names, where there are such
    masks_without_image: list[str] = field(default_factory=list)
    images_without_mask: list[str] = field(default_factory=list)  # ids, where their source has masks
    several_masks: int = 0  # images with more than one mask file
    other_kinds: Counter[str] = field(default_factory=Counter)  # images that are not read, by suffix; each is among `skips` too
    unused_files: Counter[str] = field(default_factory=Counter)  # images in folders that are neither of images nor of masks, by folder
    unused_columns: dict[str, list[str]] = field(default_factory=dict)  # by table
    doubts: list[str] = field(default_factory=list)  # what looks wrong and is kept
    notes: list[str] = field(default_factory=list)  # what was assumed

    @property
    def unused_lines(self) -> int:
        """How many names of tables and annotations are no image's."""
        return sum(map(len, self.unused_names.values()))
