"""The lesion mask of a candidate and the boxes of its objects: from mask files, DICOM segmentations, or outlines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from htltools.core.geometry.boxes import boxes_of_labels
from htltools.errors import DataError
from htltools.formats.csv.run_lengths import mask_of_runs
from htltools.formats.dicom.file import is_dicom
from htltools.formats.images.image import Doubt
from htltools.formats.images.mask import Objects, read_mask
from htltools.formats.images.outlines import outline_box, outlined
from htltools.formats.rows.row import Box
from htltools.formats.sources.candidate import Candidate

ASPECT_TOLERANCE = 0.02  # of a side, between the form of a mask and that of its image; a pixel of rounding is allowed in any case

Size = tuple[int, int]  # width, height of an image


@dataclass
class LesionMask:
    """All lesions of an image as one mask, and the box of each of them."""

    pixels: np.ndarray  # bool [h, w], in a frame of its own
    boxes: list[Box]  # in that frame
    doubts: list[Doubt] = field(default_factory=list)
    orientation: int = 1  # EXIF's, that a file was turned by
    files: bool = False  # whether mask files were read

    @property
    def size(self) -> Size:
        """Width and height of its frame."""
        return self.pixels.shape[1], self.pixels.shape[0]


def lesion_mask_of(candidate: Candidate, size: Size, lesion_values: Sequence[int] = ()) -> LesionMask | None:
    """The lesions of a candidate, an image of that size, from its segmentations or mask files; None: it has neither.

    Raises: DataError where one cannot be decoded, or is of another form than the image.
    """
    try:
        if candidate.segments is not None:
            from htltools.formats.dicom.segmentation import read_segments

            pixels = read_segments(candidate.segments) if candidate.segments else np.zeros(size[::-1], bool)
            lesions = joined([Objects(pixels.view(np.uint8))])
        elif candidate.masks:
            lesions = joined_masks(candidate.masks, lesion_values)
        else:
            return None
    except DataError as error:
        raise DataError(f"its mask: {error}") from None
    check_form(lesions.size, size)
    return lesions


def joined_masks(paths: Sequence[str], lesion_values: Sequence[int] = ()) -> LesionMask:
    """The lesions of one image that several mask files mark: each file has at least one object.

    Raises: DataError where one cannot be decoded, or they differ in size.
    """
    return replace(joined([objects_in(path, lesion_values) for path in paths]), files=True)


def objects_in(path: str, lesion_values: Sequence[int]) -> Objects:
    """The objects of one mask file.

    Raises: DataError.
    """
    if not is_dicom(path):
        return read_mask(path, lesion_values)
    from htltools.formats.dicom.render import read_dicom_mask

    return read_dicom_mask(path, lesion_values)


def joined(several: Sequence[Objects]) -> LesionMask:
    """The union of objects, and the box of each, also where they overlap.

    Raises: DataError where their frames differ.
    """
    if len({own.labels.shape for own in several}) > 1:
        raise DataError("its files differ in size")
    pixels = several[0].labels > 0
    for own in several[1:]:
        pixels |= own.labels > 0
    boxes = [[float(edge) for edge in box] for own in several for box in boxes_of_labels(own.labels)]
    doubts = dict.fromkeys(doubt for own in several for doubt in own.doubts)
    return LesionMask(pixels, boxes, list(doubts), max(own.orientation for own in several))


def check_form(mask: Size, image: Size) -> None:
    """Refuse a mask of another form than its image.

    Raises: DataError.
    """
    expected = mask[1] * image[0] / image[1]
    if abs(mask[0] - expected) > max(ASPECT_TOLERANCE * expected, 1, image[0] / image[1]):
        turned = abs(mask[1] * image[1] / image[0] - mask[0]) <= max(ASPECT_TOLERANCE * mask[0], 1)
        why = ": one of them is turned" if turned else ""
        raise DataError(f"its mask is {mask[0]}x{mask[1]}, but the image is {image[0]}x{image[1]}{why}")


def outlined_lesions(outlines: Sequence[Any], frame: tuple[float, float], size: Size) -> LesionMask:
    """The lesions that outlines in a frame mark, as a mask of the image's size; boxes of polygons are exact, not those of pixels.

    Raises: DataError.
    """
    pixels, boxes = np.zeros(size[::-1], bool), []
    scale = np.tile(np.divide(size, frame), 2)
    for outline, own in with_masks(outlines, frame, size):
        pixels |= own
        if box := outline_box(outline, frame):
            boxes.append((np.array(box) * scale).tolist())
        else:
            boxes += [[float(edge) for edge in box] for box in boxes_of_labels(own.view(np.uint8))]
    return LesionMask(pixels, boxes)


def run_lesion(runs: Sequence[int], frame: tuple[float, float]) -> np.ndarray:
    """The mask of runs of pixels in a table, bool [h, w], in the frame (width, height) that they are of.

    Raises: DataError where they do not fit into it.
    """
    mask = mask_of_runs(runs, (round(frame[0]), round(frame[1])))
    if mask is None:
        raise DataError(f"its run lengths do not fit into an image of {frame[0]:g}x{frame[1]:g}")
    return mask


def with_masks(outlines: Sequence[Any], frame: tuple[float, float], size: Size) -> Iterator[tuple[Any, np.ndarray]]:
    """Each outline with its mask, bool [h, w], of the image's size.

    Raises: DataError.
    """
    for outline in outlines:
        in_table = isinstance(outline, dict) and "runs" in outline
        own = run_lesion(outline["runs"], frame) if in_table else outlined(outline, frame, size)
        check_form((own.shape[1], own.shape[0]), size)
        yield outline, own if own.shape == size[::-1] else np.asarray(Image.fromarray(own).resize(size, Image.Resampling.NEAREST))
