"""DICOM segmentations: the images that they refer to, and their frames as lesion masks. Every segment counts as lesion."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from htltools.errors import DataError
from htltools.formats.dicom.deidentified_tags import keyed_hash, numbers_of, text_of
from htltools.formats.dicom.file import frame_values, header_of, reading

SegmentFrame = tuple[str, int]  # path of a segmentation, number of one of its frames


@dataclass
class Segmentations:
    """Index of the frames of segmentations by the images that they refer to; names are keyed hashes (see `keyed_hash`)."""

    series: set[str] = field(default_factory=set)  # whose images were all examined
    of_instance: dict[tuple[str, int | None], list[SegmentFrame]] = field(default_factory=lambda: defaultdict(list))  # None: of one frame
    of_position: dict[tuple[str, tuple[float, ...]], list[SegmentFrame]] = field(default_factory=lambda: defaultdict(list))  # by series

    def add(self, path: str, key: bytes) -> None:
        """Add the frames of a file.

        Raises: DataError where it cannot be read.
        """
        header = header_of(path)
        with reading("its references cannot be read"):
            named = [keyed_hash(key, "series", text_of(item, "SeriesInstanceUID")) for item in header.get("ReferencedSeriesSequence") or []]
            self.series |= set(named)
            shared = (header.get("SharedFunctionalGroupsSequence") or [{}])[0]
            for number, groups in enumerate(header.get("PerFrameFunctionalGroupsSequence") or [], 1):
                sources = list(sources_of(groups)) or list(sources_of(shared))
                for uid, frame in sources:
                    self.of_instance[keyed_hash(key, "instance", uid), frame].append((path, number))
                position = numbers_of((groups.get("PlanePositionSequence") or [{}])[0].get("ImagePositionPatient"))
                if not sources and position:
                    for series in named:
                        self.of_position[series, position].append((path, number))

    def segments(
        self, instance: str, series: str | None, position: tuple[float, ...] | None, frame: int | None
    ) -> tuple[SegmentFrame, ...] | None:
        """The frames that refer to an image; none where its series was examined without a mark on it; None where it was not examined."""
        frames = [*self.of_instance.get((instance, frame), ()), *(self.of_instance.get((instance, None), ()) if frame else ())]
        if series and position and not frame:
            frames += self.of_position.get((series, position), ())
        return tuple(dict.fromkeys(frames)) if frames or series in self.series else None


def sources_of(groups: Any) -> Iterator[tuple[str, int | None]]:
    """(UID, frame) of the images that a frame of a segmentation was drawn on."""
    for derivation in groups.get("DerivationImageSequence") or []:
        for source in derivation.get("SourceImageSequence") or []:
            frames = source.get("ReferencedFrameNumber")
            for frame in [frames] if frames is None or isinstance(frames, (int, str)) else frames:
                yield text_of(source, "ReferencedSOPInstanceUID"), frame if frame is None else int(frame)


def read_segments(segments: Sequence[SegmentFrame]) -> np.ndarray:
    """The union of frames of segmentations: bool [h, w], in their own frame.

    Raises: DataError with a short reason where one cannot be decoded, or they differ in size.
    """
    union = read_segment(*segments[0])
    for path, number in segments[1:]:
        mask = read_segment(path, number)
        if mask.shape != union.shape:
            raise DataError("its segmentations differ in size")
        union |= mask
    return union


def read_segment(path: str, number: int) -> np.ndarray:
    """A frame of a segmentation, counted from 1: bool [h, w], at least half of its maximum where it is fractional.

    Raises: DataError with a short reason where it cannot be decoded.
    """
    header = header_of(path)
    values = frame_values(path, header, number)
    with reading():
        full = int(header.MaximumFractionalValue) if header.get("SegmentationType") == "FRACTIONAL" else 1
    return values >= full / 2
