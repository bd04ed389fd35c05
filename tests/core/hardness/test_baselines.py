"""Baselines of hardness that need no model."""

import numpy as np
from scipy.stats import kstest

from htltools.core.hardness.baselines import chance, smallness


def test_smallness_is_one_minus_the_share_of_the_image():
    """The box of a whole image scores 0, a quarter of it 0.75, and a sample without a box has no score."""
    boxes = np.array([[0, 0, 1, 1], [0.5, 0.5, 1, 1], [np.nan] * 4])
    assert smallness(boxes)[:2].tolist() == [0, 0.75]
    assert np.isnan(smallness(boxes)[2])


def test_chance_follows_from_seed_and_id_alone():
    """The number of a sample is the same in any order and any subset of rows, and another with another seed."""
    ids = [f"s{i}" for i in range(50)]
    numbers = chance(ids, 0)
    assert (chance(ids[::-1], 0)[::-1] == numbers).all()
    assert chance(ids[7:8], 0) == numbers[7]
    assert not (chance(ids, 1) == numbers).any()
    assert chance(["ISIC_0024306"], 0)[0] == 0.04911387213669194


def test_chance_is_uniform():
    """The numbers spread evenly over [0, 1)."""
    numbers = chance([f"sample {i}" for i in range(2000)], 3)
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert kstest(numbers, "uniform").pvalue > 0.01
