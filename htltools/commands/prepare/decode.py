"""How `prepare` turns one candidate into an image and a row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from htltools.core.geometry.box_cleaning import fitted_boxes
from htltools.core.geometry.boxes import box_of_mask
from htltools.core.sampling.splits import is_labelled
from htltools.core.synthetic.phantom import phantom
from htltools.errors import DataError
from htltools.formats.dicom.file import is_dicom
from htltools.formats.images.image import read_image, read_mask, squashed_array, squashed_mask
from htltools.formats.sources.candidate import Candidate

FRAME_TOLERANCE = 0.02  # of the aspect ratio, between the frame that COCO tells and the image


@dataclass(frozen=True)
class Work:
    """What to do with each candidate."""

    frame: tuple[int, int]  # H, W of the store
    one_box: str = "all"
    box_frame: tuple[int, int] | None = None  # W, H of a table's boxes
    labelled: bool = False  # whether boxes are expected
    keep_unlabelled: bool = False
    seed: int = 0
    label_share: float = 1.0  # of the training groups that keep their boxes
    label_seed: int = 0
    window: str = "auto"  # of DICOM images


@dataclass
class Decoded:
    """A finished sample, or the reason why there is none. `row` has an index of None, to be set in its shard."""

    row: dict[str, Any] | None = None
    image: np.ndarray | None = None  # uint8 [H, W, 3]
    lesion_mask: np.ndarray | None = None  # uint8 [H, W], 0 or 255
    reason: str | None = None


def decoded(candidate: Candidate, work: Work) -> Decoded:
    """The sample of a candidate."""
    try:
        sample = synthetic(candidate, work) if candidate.phantom is not None else real(candidate, work)
    except DataError as error:
        return Decoded(reason=str(error))
    if candidate.split == "train" and not is_labelled(candidate.facts.group or candidate.id, work.label_share, work.label_seed):
        for name in ("boxes", "labels"):
            sample.row.pop(name, None)
        sample.row.get("meta", {}).pop("true_box", None)  # of a phantom whose box was wrong
    return sample


def real(candidate: Candidate, work: Work) -> Decoded:
    """The sample of an image file.

    Raises: DataError with the reason why there is none.
    """
    required = work.labelled and not work.keep_unlabelled
    told = candidate.facts.boxes
    unmasked = candidate.mask is None and candidate.segments is None
    if required and (unmasked if candidate.masked else told is None):
        raise DataError("no mask" if candidate.masked else "no box" if candidate.facts.known else "no line in the table")
    image, size, rendering = seen(candidate, work)
    lesion_mask = None if unmasked else masked(candidate, work.frame, size)
    if lesion_mask:
        boxes, reason = fitted_boxes(lesion_mask[1], lesion_mask[2], size, work.one_box)
        reason = reason or (None if boxes else "the mask is empty")
    elif told is not None:
        boxes, reason = fitted_boxes(told, frame_of(candidate, work, size), size, work.one_box)
    else:
        boxes, reason = None, None
    if reason and required:
        raise DataError(reason)
    if reason and boxes == [] and not lesion_mask:
        boxes = None  # a box that is no use says nothing
    if rendering:
        candidate = replace(candidate, facts=replace(candidate.facts, meta=candidate.facts.meta | {"rendering": rendering}))
    return Decoded(row_of(candidate, size, boxes, labels_of(candidate, boxes, work)), image, lesion_mask[0] if lesion_mask else None)


def seen(candidate: Candidate, work: Work) -> tuple[np.ndarray, tuple[int, int], str | None]:
    """The squashed image of a candidate, its (width, height), and how DICOM was rendered."""
    if not candidate.dicom:
        return *read_image(candidate.image, work.frame), None
    from htltools.formats.dicom.render import read_dicom

    return read_dicom(candidate.image, work.frame, candidate.frame or 1, work.window)


def masked(candidate: Candidate, frame: tuple[int, int], size: tuple[int, int]) -> tuple[np.ndarray, list, tuple[int, int]]:
    """The squashed mask of a candidate of that size, its boxes and its frame (width, height)."""
    try:
        lesion_mask = lesion_mask_of(candidate, size)
    except DataError as error:
        raise DataError(f"its mask: {error}") from None
    box = box_of_mask(lesion_mask)
    return squashed_mask(lesion_mask, frame), [box] if box else [], lesion_mask.shape[::-1]


def lesion_mask_of(candidate: Candidate, size: tuple[int, int]) -> np.ndarray:
    """The mask of a candidate, bool [h, w], in a frame of its own; of a size (width, height) where segmentations leave it empty."""
    if candidate.segments is not None:
        from htltools.formats.dicom.segmentation import read_segments

        return read_segments(candidate.segments) if candidate.segments else np.zeros(size[::-1], bool)
    if is_dicom(candidate.mask):
        from htltools.formats.dicom.render import read_dicom_mask

        return read_dicom_mask(candidate.mask)
    return read_mask(candidate.mask)


def frame_of(candidate: Candidate, work: Work, size: tuple[int, int]) -> tuple[float, float]:
    """The frame (width, height) of a candidate's boxes: as the flag says, as the annotations say, or the image's own."""
    told = candidate.facts.frame
    if work.box_frame or not told:
        return work.box_frame or size
    if abs(told[0] * size[1] / (told[1] * size[0]) - 1) > FRAME_TOLERANCE:
        raise DataError(f"annotated as {told[0]:g}x{told[1]:g}, but the image is {size[0]}x{size[1]}")
    return told


def synthetic(candidate: Candidate, work: Work) -> Decoded:
    """The sample of a phantom; where its box is wrong, meta.true_box holds the right one."""
    made = phantom(work.seed, candidate.phantom, candidate.split)
    true_box = {"true_box": plain_box(made.true_box)} if made.meta["planted"] == "wrong" else {}
    candidate = replace(candidate, facts=replace(candidate.facts, label=made.label, meta=made.meta | true_box))
    row = row_of(candidate, made.lesion_mask.shape[::-1], [plain_box(made.box)])
    return Decoded(row, squashed_array(made.image, work.frame), squashed_mask(made.lesion_mask, work.frame))


def plain_box(box: Sequence[float]) -> list[float]:
    """A box as a list of floats."""
    return [float(edge) for edge in box]


def labels_of(candidate: Candidate, boxes: list | None, work: Work) -> list[str] | None:
    """The class of each box; None where boxes have none of their own, or several became one."""
    labels = candidate.facts.labels
    return labels if labels and boxes and len(labels) == len(boxes) and work.one_box == "all" else None


def row_of(candidate: Candidate, size: tuple[int, int], boxes: list | None, labels: list[str] | None = None) -> dict[str, Any]:
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
    return {name: value for name, value in fields.items() if value is not None}
