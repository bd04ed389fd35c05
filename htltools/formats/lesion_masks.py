"""Lesion masks of a store, in the frame of its pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from htltools.formats.store import mapped, opened


def lesion_masks(rows: Sequence[dict[str, Any]]) -> np.ndarray | None:
    """The lesion masks of rows with a store and an index: bool [N, H, W]; None where a store of theirs holds none.

    Raises: DataError, MissingInput where a store is damaged or missing.
    """
    shards = {}
    for path in {row["store"] for row in rows}:
        with opened(Path(path)) as file:
            if "masks" not in file:
                return None
        shards[path] = mapped(Path(path), "masks")
    return np.stack([shards[row["store"]][row["index"]] > 0 for row in rows])
