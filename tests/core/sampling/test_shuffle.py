"""The order of samples where images exceed memory."""

import numpy as np
import torch

from htltools.core.sampling.shuffle import ShardShuffle


def drawn(shuffle, seed):
    """An order of that seed."""
    return shuffle.order(torch.Generator().manual_seed(seed)).numpy()


def test_every_sample_comes_once_from_few_shards_at_a_time():
    """An epoch has every sample once; each window has whole shards, and within it their samples are mixed; the next epoch differs."""
    shards = np.repeat(np.arange(10), 50)
    shuffle = ShardShuffle(shards, 3)
    order = drawn(shuffle, 0)
    assert sorted(order) == list(range(500))
    windows = [set(shards[order[start : start + 150]]) for start in range(0, 500, 150)]
    assert [len(window) for window in windows] == [3, 3, 3, 1] and set.union(*windows) == set(range(10))
    first = shards[order[:150]]
    assert (first[1:] != first[:-1]).mean() > 0.5, "samples of the shards of a window are mixed"
    assert not np.array_equal(order, drawn(shuffle, 1)) and np.array_equal(order, drawn(shuffle, 0))


def test_numbers_of_shards_need_not_be_dense():
    """Shards may be of different sizes, and their numbers any."""
    shards = np.array([7, 7, 7, 100, 3, 3])
    order = drawn(ShardShuffle(shards, 1), 0)
    assert sorted(order) == list(range(6))
    assert len([1 for one, other in zip(shards[order], shards[order][1:]) if one != other]) == 2
