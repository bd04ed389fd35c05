"""Work in a process of its own."""

import os

import numpy as np
import pytest

from htltools.errors import DataError
from htltools.formats.dicom import child_process
from htltools.formats.dicom.child_process import in_child_process

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def test_arrays_come_back():
    """The result of the work arrives with its bits, shape and type."""
    for array in (np.arange(12, dtype=np.int16).reshape(3, 4), np.zeros((0, 3)), np.ones((400, 500, 3), np.uint8)):
        there = in_child_process(lambda array=array: array)
        assert there.dtype == array.dtype and there.shape == array.shape and (there == array).all()


def test_failures_have_reasons(monkeypatch, capfd):
    """An exception, a crash and an endless loop are DataErrors of a few words, and nothing is printed."""
    monkeypatch.setattr(child_process, "SECONDS", 1)

    def endless():
        while True:
            pass

    for work, reason in (
        (lambda: np.zeros(1) + "secret", "its pixels cannot be decoded (UFuncTypeError)"),
        (lambda: os.write(2, b"secret") and os.abort(), "its decoder broke down (SIGABRT)"),
        (endless, "its decoder broke down (SIGALRM)"),
    ):
        with pytest.raises(DataError) as failed:
            in_child_process(work)
        assert reason[:-2] in str(failed.value)
    assert "secret" not in capfd.readouterr().err
