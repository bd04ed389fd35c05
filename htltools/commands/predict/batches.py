"""What `predict` predicts for: batches of images, from files or from a store."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from htltools.commands.predict.drawing import Original
from htltools.core.runtime.image_sources import ImagesInMemory, ImageSource
from htltools.formats.rows.row import Row
from htltools.formats.store.shard import Images, Placement
from htltools.tasks.rows import check_frame


@dataclass(frozen=True)
class Batch:
    """B rows, their images in the frame of the model, and the files that these were read from; None: a store."""

    rows: list[Row]
    images: ImageSource
    originals: Sequence[Original | None]


def in_memory(pictures: Sequence[tuple[Row, np.ndarray, Original]]) -> Batch:
    """A batch of rows, decoded images uint8 [H, W, 3] and files."""
    rows, images, originals = (list(each) for each in zip(*pictures))
    return Batch(rows, ImagesInMemory(np.stack(images)), originals)


def stored_batches(batches: Iterable[list[Row]], frame: Sequence[int], path: Path, place: Placement) -> Iterator[Batch]:
    """Batches of rows with their stored images.

    Raises: DataError where their frame is not [H, W, C], that of the model at `path`.
    """
    for rows in batches:
        images = Images(rows, place)
        check_frame(images.shape, frame, path)
        yield Batch(rows, images, [None] * len(rows))
