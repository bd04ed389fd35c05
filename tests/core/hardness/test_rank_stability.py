"""Rank stability: how alike models rank samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from htltools.core.hardness.rank_stability import Stability, mean_correlation, rank_correlation

pairs = st.integers(3, 30).flatmap(lambda n: arrays(float, (2, n), elements=st.integers(0, 9)))


@given(pairs)
def test_it_is_spearmans(values):
    """The rank correlation is scipy's, ties and all; symmetric, within [-1, 1], and NaN where one side is constant."""
    a, b = values
    correlation = rank_correlation(a, b)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        assert np.isnan(correlation)
        return
    assert correlation == pytest.approx(spearmanr(a, b).statistic)
    assert correlation == pytest.approx(rank_correlation(b, a))
    assert -1 - 1e-9 <= correlation <= 1 + 1e-9


def test_places_without_a_value_do_not_count():
    """Places where either is NaN are left out; fewer than three remaining ones are too few."""
    nan = np.nan
    assert rank_correlation(np.array([1, 2, 3, nan, 0]), np.array([3, 2, 1, 9, nan])) == pytest.approx(-1)
    assert np.isnan(rank_correlation(np.array([1, 2, nan]), np.array([1, 2, 3])))


def test_means_are_over_pairs():
    """Three models have three pairs: 1, -1 and -1; pairs that have no correlation are left out."""
    up, nan = np.arange(4.0), np.full(4, np.nan)
    assert mean_correlation(np.array([up, up, -up])) == pytest.approx(-1 / 3)
    assert mean_correlation(np.array([up, up, nan])) == pytest.approx(1)
    assert np.isnan(mean_correlation(np.array([up, nan])))


def test_batches_add_up():
    """Batches are joined by split, and columns of a single model are left out."""
    stability = Stability()
    for batch in (slice(0, 3), slice(3, 8)):
        values = np.arange(8.0)
        signs = np.where(np.arange(8) % 2, -1, 1)
        columns = {"loss": np.array([values, values * signs])[:, batch], "pruned_disagreement": values[None, batch]}
        stability.add(columns, ["odd" if i % 2 else "even" for i in range(8)][batch])
    assert stability.correlations() == {"loss": {"even": pytest.approx(1), "odd": pytest.approx(-1)}}
