"""Lesion masks of a store, in the frame of its images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from htltools.formats.rows.row import Row
from htltools.formats.rows.spooled import rows_where
from htltools.formats.store.shard import Images, Placement, mapped_dataset, open_shard, stored_places

PIECE = 64  # masks read at a time


def lesion_masks(rows: Sequence[Row]) -> np.ndarray | None:
    """The lesion masks of rows with a store and an index: bool [N, H, W]; None where one of their stores holds no masks,
    or a mask is of an annotation that was corrected.

    Raises: DataError, MissingInput where a store is damaged or missing.
    """
    stored = [row.stored_at for row in rows]
    paths = {path for path, _ in stored}
    if any(row.get("mask_outdated") for row in rows) or not all(map(holds_masks, paths)):
        return None
    shards = {path: mapped_dataset(Path(path), "masks") for path in paths}
    return np.stack([shards[path][index] > 0 for path, index in stored])


def holds_masks(path: str) -> bool:
    """Whether a shard of a store holds lesion masks; masks of images without one are empty."""
    with open_shard(Path(path)) as file:
        return "masks" in file


class MaskedImages:
    """The images of some rows with their lesion masks as one channel more, 0 or 255 = lesion: shape (N, H, W, C + 1).

    A mask is empty where the store holds none, or one of an annotation that was corrected. `has_mask`: bool [N], which rows have a
    mask that is not empty.

    Raises: as `Images`.
    """

    def __init__(self, rows: Sequence[Row], place: Placement | None = None):
        self.images = Images(rows, place)
        of_sample, _, paths = stored_places(rows)
        current = np.fromiter((not row.get("mask_outdated") for row in rows), bool, len(rows))
        holds = np.array([holds_masks(path) for path in paths], bool)[of_sample] & current
        self.masks = Images(rows_where(rows, holds), place, "masks") if holds.any() else None
        self.number = np.where(holds, holds.cumsum() - 1, -1)  # [N], the place of each row among those whose store holds masks
        self.shape = (*self.images.shape[:3], self.images.shape[3] + 1)
        pieces = np.split(np.arange(len(rows)), range(PIECE, len(rows), PIECE))
        self.has_mask = np.concatenate([self.lesion(piece).any((1, 2)) for piece in pieces])

    def lesion(self, chosen: np.ndarray) -> np.ndarray:
        """Lesion masks of the chosen rows (int64 [B]): uint8 [B, H, W]."""
        masks, number = np.zeros((len(chosen), *self.shape[1:3]), np.uint8), self.number[chosen]
        if self.masks and (number >= 0).any():
            masks[number >= 0] = self.masks.batch(number[number >= 0])
        return masks

    def batch(self, chosen: np.ndarray) -> np.ndarray:
        """Images and masks of the chosen rows (int64 [B]), in that order: uint8 [B, H, W, C + 1]."""
        return np.concatenate([self.images.batch(chosen), self.lesion(chosen)[..., None]], 3)
