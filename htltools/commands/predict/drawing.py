"""Files of single images that `predict` writes beside its rows, in other processes, which do without torch: masks and overlays."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from htltools.core.figures.overlay import overlay
from htltools.formats.images.png import write_png
from htltools.formats.predictions.predicted_box import PredictedBox, predicted_boxes
from htltools.formats.rows.row import Row


@dataclass(frozen=True)
class Original:
    """A file that an image was read from; number: of the frame in it, from 1; window: how grey DICOM is rendered."""

    path: str
    dicom: bool = False
    number: int = 1
    window: str = "auto"


def write_mask(path: Path, probabilities: np.ndarray, limit: float, size: tuple[int, int]) -> None:
    """Write a lesion mask, of probabilities [H, W], in the size (width, height) of its original: 255 = lesion, from `limit` on; else 0."""
    large = np.asarray(Image.fromarray(probabilities.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
    write_png(path, (large >= limit) * np.uint8(255))


def write_overlay(path: Path, row: Row, stored: np.ndarray, original: Original | None, column: str | None) -> None:
    """Write the image of a row with its boxes, and its doubt by a column of `hardness`.

    stored: uint8 [H, W, 3], what is drawn where there is no original file.
    """
    width, height = row.size or stored.shape[1::-1]
    image = original_pixels(original, (height, width)) if original else None
    if image is None:
        image = np.asarray(Image.fromarray(stored).resize((width, height), Image.Resampling.BICUBIC))
    predicted, annotated = predicted_boxes(row, column), row.annotated_boxes or []
    sides = np.tile([width, height], 2)
    found, known = (np.array(boxes, float).reshape(-1, 4) / sides for boxes in ([each.box for each in predicted], annotated))
    names = [caption(each) for each in predicted] if row.detected else []
    classes = row.labels or [] if row.detected and annotated else []
    write_png(path, overlay(image, found, known, title(row, column), names, classes))


def original_pixels(original: Original, frame: tuple[int, int]) -> np.ndarray:
    """The image of a file in its own frame (H, W), uint8 [H, W, 3].

    Raises: DataError where it can no longer be read.
    """
    if original.dicom:
        from htltools.formats.dicom.render import read_dicom

        return read_dicom(original.path, frame, original.number, original.window)[0]
    from htltools.formats.images.image import read_image

    return read_image(original.path, frame)[0]


def title(row: Row, column: str | None) -> str:
    """The line of text of an overlay: the doubt, whether a person should look, and what dashes are."""
    doubt = row.hardness.get(column) if column else None
    parts = [f"{column} {doubt:.3f}"] if doubt is not None else []
    parts += ["refer"] if row.get("refer") else []
    parts += ["dashes: annotated"] if row.annotated_boxes else []
    return "   ".join(parts)


def caption(box: PredictedBox) -> str:
    """The class and the score of an object, as text."""
    return box.label + (f" {box.score:.2f}" if box.score is not None else "")
