"""Label errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htltools.core.hardness.label_error import suspect

SHARE = st.floats(0, 1)


def test_wrong_before_hard():
    """The same error is more suspect where models agree, and the same agreement where the error is larger."""
    agreeing, disagreeing, close = suspect(np.array([0.5, 0.5, 0.1]), np.array([0.02, 0.4, 0.02]))
    assert agreeing > disagreeing > close


@given(SHARE, SHARE)
def test_bounds(error, pruned_disagreement):
    """It stays within the bounds that the manual states."""
    assert 0.029 <= suspect(np.array([error]), np.array([pruned_disagreement]))[0] <= 5.95


def test_without_an_annotation():
    """A sample without an annotation has no score."""
    assert np.isnan(suspect(np.array([np.nan]), np.array([0.2]))[0])


def test_no_disagreement_leaves_the_error():
    """Where dense and pruned model are the same, the order is that of the error."""
    error = np.array([0.3, 0.1, 0.7])
    assert np.argsort(suspect(error, np.zeros(3))).tolist() == np.argsort(error).tolist()
    assert suspect(np.ones(1), np.zeros(1))[0] == pytest.approx(1.03 / 0.03**0.5)
