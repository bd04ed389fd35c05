"""Mutated files: every reader returns or raises an HtlError of one line, in bounded time and memory.

The cases are the same each time; `atheris_fuzz.py` looks for new ones.
"""

import contextlib
import resource
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from htltools.errors import HtlError

sys.path.insert(0, str(Path(__file__).parent))
import targets

CASES = {
    "rows": 600,
    "parquet": 120,
    "checkpoint": 500,
    "torch_weights": 200,
    "localizer": 20,
    "shard": 400,
    "image": 800,
    "dicom": 250,
    "coco": 500,
    "label_studio": 400,
    "cvat": 400,
    "voc": 400,
    "yolo": 400,
    "table": 500,
    "onnx": 150,
    "ids": 300,
    "corrections": 300,
}
SECONDS = 10  # that a single case may take, on a slow machine
ROOM = 2 * 2**30  # bytes that a case may allocate beyond those of the process
TEXTS = b"\0", b"1e999", b"-1", b"null", b"{", b"[" * 2000, b"9" * 5000, b'"\\ud800"', b"\x1b["
EXTREMES = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1]


@st.composite
def mutations(draw, name):
    """A valid file of a target, damaged: bits, bytes, numbers, pieces left out, doubled or taken from another, the end cut."""
    seeds = targets.seeds(name)
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(1, 64))
        match draw(st.sampled_from(["bit", "byte", "number", "number", "text", "out", "twice", "splice", "cut"])):
            case "bit" if data:
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "byte" if data:
                data[place] = draw(st.integers(0, 255))
            case "number":
                size, order = draw(st.sampled_from([2, 4, 8])), draw(st.sampled_from(["little", "big"]))
                data[place : place + size] = (draw(st.sampled_from(EXTREMES)) % 256**size).to_bytes(size, order)
            case "text":
                data[place:place] = draw(st.sampled_from(TEXTS))
            case "out":
                del data[place : place + length]
            case "twice":
                data[place:place] = data[place : place + length]
            case "splice":
                other = draw(st.sampled_from(seeds))
                data[place : place + length] = other[place : place + length]
            case "cut":
                del data[place:]
    return bytes(data)


@contextlib.contextmanager
def limited_memory():
    """Within it, the process cannot allocate much more memory: a bomb raises MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.skipif(sys.platform != "linux", reason="it limits memory as Linux does")
@pytest.mark.parametrize("name", targets.TARGETS)
def test_damaged_files(name, capfd):
    """Whatever is wrong with a file, it is read, or refused in one line, soon and without taking much memory."""
    target, outcomes = targets.TARGETS[name], {True: 0, False: 0}
    for seed in targets.seeds(name):
        with contextlib.suppress(HtlError):
            target(seed)  # imports what it needs

    @settings(max_examples=CASES[name], deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(data=mutations(name))
    def case(data):
        began = time.monotonic()
        try:
            target(data)
            outcomes[True] += 1
        except HtlError as error:
            outcomes[False] += 1
            assert str(error) and "\n" not in str(error), error
            assert error.exit_code in (65, 66), error
        assert time.monotonic() - began < SECONDS

    with limited_memory():
        case()
    assert outcomes[False] > CASES[name] / 10 and sum(outcomes.values()) >= 0.9 * CASES[name], outcomes
