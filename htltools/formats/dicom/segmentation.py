"""DICOM segmentations: which images they speak of, and their frames as lesion masks. Every segment counts as lesion."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from htltools.errors import DataError
from htltools.formats.dicom.deidentified_tags import keyed, place, word
from htltools.formats.dicom.file import frame_values, header_of, reading

Frame = tuple[str, int]  # path of a segmentation, number of one of its frames


@dataclass
class Segmentations:
    """The frames of segmentations by what they speak of, all names as keyed hashes (see `dicom_tags.keyed`)."""

    series: set[str] = field(default_factory=set)  # of which every image was looked at
    of_instance: dict[tuple[str, int | None], list[Frame]] = field(default_factory=lambda: defaultdict(list))  # None: of one frame
    of_position: dict[tuple[str, tuple[float, ...]], list[Frame]] = field(default_factory=lambda: defaultdict(list))  # by series

    def add(self, path: str, key: bytes) -> None:
        """Add what a file speaks of.

        Raises: DataError where it cannot be read.
        """
        header = header_of(path)
        with reading("what it refers to cannot be read"):
            named = [keyed(key, "series", word(item, "SeriesInstanceUID")) for item in header.get("ReferencedSeriesSequence") or []]
            self.series |= set(named)
            shared = (header.get("SharedFunctionalGroupsSequence") or [{}])[0]
            for number, groups in enumerate(header.get("PerFrameFunctionalGroupsSequence") or [], 1):
                sources = list(sources_of(groups)) or list(sources_of(shared))
                for uid, frame in sources:
                    self.of_instance[keyed(key, "instance", uid), frame].append((path, number))
                position = place((groups.get("PlanePositionSequence") or [{}])[0].get("ImagePositionPatient"))
                if not sources and position:
                    for series in named:
                        self.of_position[series, position].append((path, number))

    def segments(
        self, instance: str, series: str | None, position: tuple[float, ...] | None, frame: int | None
    ) -> tuple[Frame, ...] | None:
        """The frames that speak of an image; none where its series was looked at and it is not mentioned; None where it was not."""
        found = [*self.of_instance.get((instance, frame), ()), *(self.of_instance.get((instance, None), ()) if frame else ())]
        if series and position and not frame:
            found += self.of_position.get((series, position), ())
        return tuple(dict.fromkeys(found)) if found or series in self.series else None


def sources_of(groups: Any) -> Iterator[tuple[str, int | None]]:
    """(UID, frame) of the images that a frame of a segmentation was drawn on."""
    for derivation in groups.get("DerivationImageSequence") or []:
        for source in derivation.get("SourceImageSequence") or []:
            frames = source.get("ReferencedFrameNumber")
            for frame in [frames] if frames is None or isinstance(frames, (int, str)) else frames:
                yield word(source, "ReferencedSOPInstanceUID"), frame if frame is None else int(frame)


def read_segments(segments: Sequence[Frame]) -> np.ndarray:
    """The union of frames of segmentations: bool [h, w], in their own frame.

    Raises: DataError with a short reason where one cannot be decoded, or they differ in size.
    """
    union = None
    for path, number in segments:
        header = header_of(path)
        values = frame_values(path, header, number)
        with reading():
            full = int(header.MaximumFractionalValue) if header.get("SegmentationType") == "FRACTIONAL" else 1
        lesion_mask = values >= full / 2
        if union is not None and union.shape != lesion_mask.shape:
            raise DataError("its segmentations differ in size")
        union = lesion_mask if union is None else union | lesion_mask
    return union
