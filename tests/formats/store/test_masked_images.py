"""Lesion masks of a store."""

import numpy as np

from htltools.formats.store.masked_images import lesion_masks
from htltools.formats.store.shard import read_shard, write_shard


def stored(path, masks):
    """The rows of a shard of three black images."""
    rows = [{"id": f"{path.stem}{i}", "index": i, "size": [4, 4]} for i in range(3)]
    write_shard(path, np.zeros((3, 4, 4, 3), np.uint8), masks, rows, [], plan="by hand", history=[])
    return read_shard(path)[0]


def test_masks_come_in_the_order_of_the_rows(tmp_path):
    """Rows of several shards, in any order, get the masks of their own images, true on the lesion."""
    random = np.random.default_rng(0)
    masks = random.integers(0, 2, (2, 3, 4, 4), np.uint8) * 255
    rows = stored(tmp_path / "00000.h5", masks[0]) + stored(tmp_path / "00001.h5", masks[1])
    order = [4, 0, 5, 2]
    assert (lesion_masks([rows[i] for i in order]) == (masks.reshape(6, 4, 4)[order] == 255)).all()


def test_a_store_without_masks_has_none(tmp_path):
    """Where the store of one row holds no masks, there are none for any."""
    rows = stored(tmp_path / "00000.h5", np.zeros((3, 4, 4), np.uint8)) + stored(tmp_path / "00001.h5", None)
    assert lesion_masks(rows[:3]).shape == (3, 4, 4)
    assert lesion_masks(rows) is None
