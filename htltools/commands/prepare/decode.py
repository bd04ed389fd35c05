"""How `prepare` turns one candidate into an image and a row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from htltools.core.geometry.box_cleaning import fitted_boxes
from htltools.core.geometry.boxes import box_of_mask
from htltools.core.sampling.splits import is_labelled
from htltools.core.synthetic.phantom import phantom
from htltools.errors import DataError
from htltools.formats.dicom.file import is_dicom
from htltools.formats.images.image import read_image, read_mask, squashed_array, squashed_mask
from htltools.formats.rows.row import Box, Row
from htltools.formats.sources.candidate import Candidate

FRAME_TOLERANCE = 0.02  # of the aspect ratio, between the frame that COCO names and the image

Size = tuple[int, int]  # width, height of an image


@dataclass(frozen=True)
class Settings:
    """How candidates become samples; part of what tells one store from another."""

    frame: tuple[int, int]  # H, W of the store
    one_box: str = "all"
    box_frame: Size | None = None  # of a table's boxes
    labelled: bool = False  # whether boxes are expected
    keep_unlabelled: bool = False
    seed: int = 0
    label_share: float = 1.0  # of the training groups that keep their boxes
    label_seed: int = 0
    window: str = "auto"  # of DICOM images


@dataclass
class Sample:
    """A finished sample, but for its place in a shard."""

    row: Row  # its index is set in the shard
    image: np.ndarray  # uint8 [H, W, 3]
    lesion_mask: np.ndarray | None  # uint8 [H, W], 0 or 255


@dataclass
class Skip:
    """Why a candidate becomes no sample."""

    reason: str


def decoded(candidate: Candidate, settings: Settings) -> Sample | Skip:
    """The sample of a candidate, or why there is none."""
    try:
        sample = file_sample(candidate, settings) if candidate.phantom is None else synthetic_sample(candidate, settings)
    except DataError as error:
        return Skip(str(error))
    if candidate.split == "train" and not is_labelled(sample.row.group, settings.label_share, settings.label_seed):
        sample.row = without_boxes(sample.row)
    return sample


def without_boxes(row: Row) -> Row:
    """The row as if nobody had annotated it."""
    kept = Row({name: value for name, value in row.items() if name not in ("boxes", "labels")})
    if "true_box" not in row.meta:  # of a phantom whose box was wrong
        return kept
    return kept.changed(meta={name: value for name, value in row.meta.items() if name != "true_box"})


def file_sample(candidate: Candidate, settings: Settings) -> Sample:
    """The sample of an image file.

    Raises: DataError with the reason why there is none.
    """
    facts = candidate.facts
    required = settings.labelled and not settings.keep_unlabelled
    if required and candidate.masked and not candidate.masks and candidate.segments is None:
        raise DataError("no mask")
    if required and not candidate.masked and facts.boxes is None:
        raise DataError("no box" if facts.known else "no line in the table")
    image, size, rendering = decoded_image(candidate, settings)
    lesion_mask = decoded_mask(candidate, size)
    boxes: list[Box] | None = None
    reason = None
    if lesion_mask is not None:
        box, (height, width) = box_of_mask(lesion_mask), lesion_mask.shape
        boxes, reason = fitted_boxes([box] if box else [], (width, height), size, settings.one_box)
        reason = reason or (None if boxes else "the mask is empty")
    elif facts.boxes is not None:
        fitted, reason = fitted_boxes(facts.boxes, frame_of_boxes(candidate, settings, size), size, settings.one_box)
        boxes = None if reason else fitted
    if reason and required:
        raise DataError(reason)
    if rendering:
        candidate = replace(candidate, facts=replace(facts, meta=facts.meta | {"rendering": rendering}))
    row = row_of(candidate, size, boxes, labels_of(candidate, boxes, settings))
    return Sample(row, image, None if lesion_mask is None else squashed_mask(lesion_mask, settings.frame))


def decoded_image(candidate: Candidate, settings: Settings) -> tuple[np.ndarray, Size, str | None]:
    """The squashed image of a candidate, the size of the original, and how DICOM was rendered.

    Raises: DataError.
    """
    if not candidate.dicom:
        return *read_image(candidate.image, settings.frame), None
    from htltools.formats.dicom.render import read_dicom

    return read_dicom(candidate.image, settings.frame, candidate.frame or 1, settings.window)


def decoded_mask(candidate: Candidate, size: Size) -> np.ndarray | None:
    """The mask of a candidate, bool [h, w], in a frame of its own, or of that size where segmentations leave it empty; None: it has none.

    Raises: DataError.
    """
    try:
        if candidate.segments is not None:
            from htltools.formats.dicom.segmentation import read_segments

            return read_segments(candidate.segments) if candidate.segments else np.zeros(size[::-1], bool)
        masks = [mask_file(path) for path in candidate.masks]
        if len({mask.shape for mask in masks}) > 1:
            raise DataError("its files are of several sizes")
        return np.logical_or.reduce(masks) if masks else None
    except DataError as error:
        raise DataError(f"its mask: {error}") from None


def mask_file(path: str) -> np.ndarray:
    """A mask file, DICOM or not: bool [h, w].

    Raises: DataError.
    """
    if is_dicom(path):
        from htltools.formats.dicom.render import read_dicom_mask

        return read_dicom_mask(path)
    return read_mask(path)


def frame_of_boxes(candidate: Candidate, settings: Settings, size: Size) -> tuple[float, float]:
    """Width and height of the frame of a candidate's boxes: as the flag says, as the annotations say, or the image's own.

    Raises: DataError where the annotations are of an image of another form.
    """
    frame = candidate.facts.frame
    if settings.box_frame or not frame:
        return settings.box_frame or size
    if abs(frame[0] * size[1] / (frame[1] * size[0]) - 1) > FRAME_TOLERANCE:
        raise DataError(f"annotated as {frame[0]:g}x{frame[1]:g}, but the image is {size[0]}x{size[1]}")
    return frame


def synthetic_sample(candidate: Candidate, settings: Settings) -> Sample:
    """The sample of a phantom; where its box is wrong, meta.true_box holds the right one."""
    made = phantom(settings.seed, candidate.phantom or 0, candidate.split)
    true_box = {"true_box": float_box(made.true_box)} if made.meta["planted"] == "wrong" else {}
    candidate = replace(candidate, facts=replace(candidate.facts, label=made.label, meta=made.meta | true_box))
    height, width = made.lesion_mask.shape
    row = row_of(candidate, (width, height), [float_box(made.box)])
    return Sample(row, squashed_array(made.image, settings.frame), squashed_mask(made.lesion_mask, settings.frame))


def float_box(box: Sequence[float]) -> Box:
    """A box as a list of floats."""
    return [float(edge) for edge in box]


def labels_of(candidate: Candidate, boxes: list[Box] | None, settings: Settings) -> list[str] | None:
    """The class of each box; None where boxes have none of their own, or several became one."""
    labels = candidate.facts.labels
    return labels if labels and boxes and len(labels) == len(boxes) and settings.one_box == "all" else None


def row_of(candidate: Candidate, size: Size, boxes: list[Box] | None, labels: list[str] | None = None) -> Row:
    """The row of a sample, without its store."""
    facts = candidate.facts
    fields = {
        "id": candidate.id,
        "group": facts.group,
        "split": candidate.split,
        "index": -1,  # set in its shard
        "frame": candidate.frame,
        "size": list(size),
        "boxes": boxes,
        "labels": labels,
        "label": facts.label,
        "meta": facts.meta or None,
    }
    return Row({name: value for name, value in fields.items() if value is not None})
