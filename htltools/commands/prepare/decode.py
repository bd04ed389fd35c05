"""How `prepare` turns one candidate into an image and a row."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from htltools.commands.prepare.lesion_masks import LesionMask, Size, lesion_mask_of, outlined_lesions
from htltools.commands.shared.corrections import corrected_row, without_objects
from htltools.core.data_checks import Issue, odd_contrast
from htltools.core.geometry.box_cleaning import border_loss, fitted_boxes
from htltools.core.sampling.splits import is_labelled
from htltools.core.synthetic.phantom import phantom
from htltools.errors import DataError
from htltools.formats.images.image import Doubt, SquashedImage, read_turned_image, squashed_array, squashed_mask
from htltools.formats.rows.row import Box, Row
from htltools.formats.sources.candidate import Candidate

FRAME_TOLERANCE = 0.02  # of the aspect ratio, between the frame that COCO names and the image
UPRIGHT = 5  # the first EXIF orientation that swaps width and height


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
    lesion_values: tuple[int, ...] = ()  # of masks; none: guessed
    corrections: str = ""  # the name of the file of corrections


@dataclass
class Sample:
    """A finished sample, but for its place in a shard."""

    row: Row  # its index is set in the shard
    image: np.ndarray  # uint8 [H, W, 3]
    lesion_mask: np.ndarray | None  # uint8 [H, W], 0 or 255
    issues: list[Issue] = field(default_factory=list)  # what looks wrong in the files, and cannot be seen in the row


@dataclass
class Skip:
    """Why a candidate becomes no sample."""

    reason: str


def decoded(candidate: Candidate, settings: Settings) -> Sample | Skip:
    """The sample of a candidate, or why there is none."""
    try:
        sample = corrected_sample(candidate, settings) if candidate.correction else annotated_sample(candidate, settings)
    except DataError as error:
        return Skip(str(error))
    if candidate.split == "train" and not is_labelled(sample.row.group, settings.label_share, settings.label_seed):
        sample.row = without_boxes(sample.row)
    return sample


def without_boxes(row: Row) -> Row:
    """The row as if nobody had annotated it."""
    kept = Row({name: value for name, value in row.items() if name not in ("boxes", "labels", "corrected")})
    if "true_box" not in row.meta:  # of a phantom whose box was wrong
        return kept
    return kept.changed(meta={name: value for name, value in row.meta.items() if name != "true_box"})


def annotated_sample(candidate: Candidate, settings: Settings) -> Sample:
    """The sample of a candidate as its sources annotate it.

    Raises: DataError with the reason why there is none.
    """
    return file_sample(candidate, settings) if candidate.phantom is None else synthetic_sample(candidate, settings)


def corrected_sample(candidate: Candidate, settings: Settings) -> Sample:
    """The sample of a candidate as a review corrected it. Its lesion mask is that of the outlines of the review, or else empty.

    Raises: DataError with the reason why there is none.
    """
    assert candidate.correction is not None
    try:
        before = annotated_sample(candidate, settings)
    except DataError:
        if not candidate.correction.boxes:
            raise
        alone = replace(candidate, masks=(), segments=None, masked=False, facts=without_objects(candidate.facts))
        before = annotated_sample(alone, replace(settings, keep_unlabelled=True))
    row = corrected_row(before.row, candidate.correction, settings.corrections, settings.one_box)
    if row is before.row:
        return before
    mask, outlines, size = None, candidate.correction.outlines, before.row.size or [1, 1]
    if outlines:
        frame = (1.0, 1.0) if candidate.correction.shares else candidate.correction.frame or (size[0], size[1])
        mask = squashed_mask(outlined_lesions(outlines, frame, (size[0], size[1])).pixels, settings.frame)
    row = row if before.lesion_mask is None else Row({name: value for name, value in row.items() if name != "mask_files"})
    return Sample(row, before.image, mask, [issue for issue in before.issues if "mask" not in issue.kind])


def file_sample(candidate: Candidate, settings: Settings) -> Sample:
    """The sample of an image file.

    Raises: DataError with the reason why there is none.
    """
    facts = candidate.facts
    required = settings.labelled and not settings.keep_unlabelled
    marked = bool(candidate.masks) or candidate.segments is not None or facts.outlines is not None
    if required and candidate.masked and not marked:
        raise DataError("no mask")
    if required and not candidate.masked and not marked and facts.boxes is None:
        raise DataError("no box" if facts.known else "no line in the table")
    image = decoded_image(candidate, settings)
    lesions = lesion_mask_of(candidate, image.size, settings.lesion_values)
    frame = lesions.size if lesions else frame_of_boxes(candidate, settings, image.size)
    given = lesions.boxes if lesions else facts.boxes
    if not lesions and facts.outlines is not None and len(facts.boxes or facts.outlines) == len(facts.outlines):
        lesions = outlined_lesions(facts.outlines, frame, image.size)  # where a box has no outline, the mask would lack it
        given, frame = (facts.boxes, frame) if facts.boxes is not None else (lesions.boxes, lesions.size)
    fitted, reason = fitted_boxes(given or [], frame, image.size, settings.one_box)
    boxes = None if reason or given is None else fitted
    if lesions and candidate.masked and not fitted and not reason:
        reason = "the mask is empty" + "".join(f": {why}" for _, why in lesions.doubts)
        boxes = None if lesions.doubts else []
    if reason and required:
        raise DataError(reason)
    if image.rendering:
        candidate = replace(candidate, facts=replace(facts, meta=facts.meta | {"rendering": image.rendering}))
    row = row_of(candidate, image.size, boxes, labels_of(candidate, boxes, settings))
    issues = odd_contrast(candidate.id, image.pixels)
    issues += [Issue(candidate.id, kind, reason) for kind, reason in (*image.doubts, *doubts_of(lesions, image))]
    if boxes and given is facts.boxes and (loss := border_loss(given or [], frame, image.size)):
        issues.append(Issue(candidate.id, "a box loses much at the border", loss))
    return Sample(row, image.pixels, None if lesions is None else squashed_mask(lesions.pixels, settings.frame), issues)


def doubts_of(lesions: LesionMask | None, image: SquashedImage) -> list[Doubt]:
    """What is doubtful about the lesions of an image: also whether it was turned and they were not, where their form does not tell."""
    if not lesions:
        return []
    one, other = image.orientation, lesions.orientation
    if one == other or not lesions.files or (image.size[0] != image.size[1] and max(one, other) >= UPRIGHT):
        return lesions.doubts
    turned = "image" if one > 1 else "mask"
    reason = f"by EXIF the {turned} is turned (orientation {max(one, other)}), and the other is not"
    return [*lesions.doubts, ("EXIF turns only one of image and mask", reason)]


def decoded_image(candidate: Candidate, settings: Settings) -> SquashedImage:
    """The squashed image of a candidate.

    Raises: DataError.
    """
    if not candidate.dicom:
        return read_turned_image(candidate.image, settings.frame)
    from htltools.formats.dicom.render import read_dicom

    return read_dicom(candidate.image, settings.frame, candidate.frame or 1, settings.window)


def frame_of_boxes(candidate: Candidate, settings: Settings, size: Size) -> tuple[float, float]:
    """Width and height of the frame of a candidate's boxes: as the flag says, as the annotations say, or the image's own; 1, 1 of shares.

    Raises: DataError where the annotations are of an image of another form.
    """
    frame = candidate.facts.frame
    if frame and not settings.box_frame and abs(frame[0] * size[1] / (frame[1] * size[0]) - 1) > FRAME_TOLERANCE:
        raise DataError(f"annotated as {frame[0]:g}x{frame[1]:g}, but the image is {size[0]}x{size[1]}")
    if candidate.facts.shares:
        return 1.0, 1.0
    return settings.box_frame or frame or size


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
        **candidate.files(),
        "frame": candidate.frame,
        "size": list(size),
        "boxes": boxes,
        "labels": labels,
        "label": facts.label,
        "meta": facts.meta or None,
    }
    return Row({name: value for name, value in fields.items() if value is not None})
