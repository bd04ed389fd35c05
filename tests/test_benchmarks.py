"""The benchmarks, which no test runs, against the names of today; mypy checks that they call what there is."""

import runpy
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parent / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_benchmarks_import(path, monkeypatch):
    """Whatever a benchmark imports of htl is there."""
    monkeypatch.syspath_prepend(path.parent)
    runpy.run_path(str(path), run_name="imported")
