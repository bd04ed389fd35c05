"""The order in which an epoch draws its samples: all at random, or, where images exceed memory, a few shards at a time."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

WINDOW = 2 * 2**30  # bytes of images that are shuffled together
FEWEST = 4  # shards that are shuffled together at least


@dataclass(frozen=True)
class ShardShuffle:
    """A shuffle of two levels: shards in random order, and samples at random within `window` shards at a time.

    of_sample: int64 [N], the shard of each sample. So only the images of one window need be in memory, and each shard is read once an
    epoch. With few shards in a window, batches are drawn from few shards: images of one shard should be no more alike than others.

    Reference: the shuffle buffer of WebDataset (Aizman et al., High Performance I/O For Large Scale Deep Learning, 2020, arXiv
    2001.01858). Deviation: windows do not overlap, so that the order follows from the seed alone.
    """

    of_sample: np.ndarray
    window: int

    def order(self, random: torch.Generator) -> Tensor:
        """Every sample once: int64 [N].

        >>> shuffle = ShardShuffle(np.array([0, 1, 2, 3, 0, 1, 2, 3]), 1)
        >>> shards = shuffle.of_sample[shuffle.order(torch.Generator().manual_seed(0)).numpy()]
        >>> all(shards[i] == shards[i + 1] for i in range(0, 8, 2))
        True
        """
        number = torch.from_numpy(np.unique(self.of_sample, return_inverse=True)[1])  # [N], 0 .. S - 1
        place = torch.randperm(int(number.max()) + 1, generator=random)  # [S], the place of each shard in the epoch
        shuffled = torch.randperm(len(number), generator=random)
        windows = torch.div(place[number[shuffled]], self.window, rounding_mode="floor")
        return shuffled[windows.argsort(stable=True)]


def shards_at_once(shard_bytes: float) -> int:
    """How many shards are shuffled together, of so many bytes each: a function of these alone, so that no machine changes a result.

    >>> shards_at_once(512 * 96 * 96 * 3), shards_at_once(512 * 1024 * 1024 * 3)
    (151, 4)
    """
    return max(int(WINDOW / max(shard_bytes, 1)), FEWEST)
