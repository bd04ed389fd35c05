"""What tasks read of rows: which of them are annotated, boxes as arrays, and stored images of the right frame."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from htltools.errors import DataError
from htltools.formats.rows.row import Row
from htltools.formats.rows.spooled import KEPT, SpooledRows, rows_where
from htltools.formats.store.shard import Images, Placement
from htltools.tasks.task import Selection


def of_split(rows: Sequence[Row], split: str) -> Sequence[Row]:
    """The rows of a split, in the order of their names, so that no result depends on that of the stream."""
    return in_order(rows_where(rows, (row.split == split for row in rows)))


def in_order(rows: Iterable[Row]) -> Sequence[Row]:
    """The rows by id and `repeat`."""
    if not isinstance(rows, SpooledRows):
        return sorted(rows, key=lambda row: (row.id, row.repeat))
    pieces = [np.array([row.id.encode("utf-8") for row in rows[first : first + KEPT]]) for first in range(0, len(rows), KEPT)]
    # as bytes, which take less room and have the order of texts
    names = np.concatenate([*pieces, np.empty(0, "S1")])
    return rows.at(np.lexsort((np.fromiter((row.repeat for row in rows), np.int64), names)))


def annotated_rows(rows: Sequence[Row], split: str, is_annotated: Callable[[Row], bool], *, others_used: bool = False) -> Selection:
    """The annotated rows of a split; the others are counted unless they are used."""
    candidates = of_split(rows, split)
    annotated = rows_where(candidates, map(is_annotated, candidates))
    others = rows_where(candidates, (not is_annotated(row) for row in candidates))
    notes = [f"{len(others)} rows of split {split} are left aside: {reasons_aside(others)}"] if others and not others_used else []
    return Selection(annotated, notes)


def reasons_aside(rows: Iterable[Row]) -> str:
    """Why rows cannot be held against predictions, with the number of rows of each reason.

    >>> reasons_aside([Row(id="a"), Row(id="b", boxes=[]), Row(id="c", boxes=[])])
    '1 not annotated, 2 known to be empty'
    """
    counts = Counter(reason_aside(row) for row in rows)
    return ", ".join(f"{count} {reason}" for reason, count in counts.items())


def reason_aside(row: Row) -> str:
    """Why a row cannot be held against predictions; of a task that needs more than boxes, rows with boxes lack that."""
    if row.is_pseudo:
        return "with boxes that a model predicted"
    if not row.is_known:
        return "not annotated"
    return "not annotated for this task" if row.is_annotated else "known to be empty"


def no_annotation(split: str) -> DataError:
    """What is wrong where no row of a split can be learned from."""
    return DataError(f"no annotated row of split {split}", "rows need split and boxes; see htl-stream(5)")


def matching_images(rows: Sequence[Row], frame: Sequence[int], path: Path, place: Placement | None = None) -> Images:
    """The stored images of rows.

    Raises: DataError where their frame [H, W, C] is not the one that the model at `path` takes.
    """
    images = Images(rows, place)
    check_frame(images.shape, frame, path)
    return images


def check_frame(shape: Sequence[int], frame: Sequence[int], path: Path) -> None:
    """Refuse images (N, H, W, C) of another frame [H, W, C] than the model at `path` takes.

    Raises: DataError naming both.
    """
    if list(shape[1:]) != list(frame):
        stored, wanted = ("x".join(map(str, each)) for each in (shape[1:], frame))
        raise DataError(f"the store holds images of {stored}, {path} takes {wanted}", "prepare them with the same --size")


def image_sizes(rows: Sequence[Row]) -> np.ndarray:
    """Width and height of the original image of each row, in pixels: float [N, 2].

    Raises: DataError where a row does not say.
    """
    missing = next((row.id for row in rows if not row.size), None)
    if missing is not None:
        raise DataError(f"the row {missing!r} has no size", "rows need size [width, height] of the original image")
    return np.fromiter((row.size for row in rows), np.dtype((float, 2)), len(rows))


def target_boxes(rows: Sequence[Row]) -> np.ndarray:
    """The annotated box of each row as shares of its image's sides, clipped to it: float64 [N, 4]; NaN where there is none.

    Raises: DataError where a row has several: models of one box cannot learn them.
    """
    targets = np.full((len(rows), 4), np.nan)
    for target, row in zip(targets, rows):
        boxes = row.boxes or []
        if len(boxes) > 1:
            raise DataError(
                f"{row.id!r} has {len(boxes)} boxes, this model predicts one",
                "prepare with --one-box union or largest, or train a net that finds several, such as --arch compact_fcos",
            )
        if boxes:
            target[:] = np.clip(np.divide(boxes[0], (row.size or [1, 1]) * 2), 0, 1)
    return targets
