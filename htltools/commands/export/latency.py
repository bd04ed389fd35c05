"""Latency: how long calls take, measured by turns, so that whatever else the machine does falls on all of them alike."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

TURNS = 3, 40  # at least, at most
EACH = 5  # calls in a row
SECONDS = 10.0


def latencies(calls: Sequence[Callable[[], Any]], seconds: float = SECONDS) -> np.ndarray:
    """Seconds that each call takes, time after time: float [calls, times], for at most about `seconds` in all.

    A turn makes every call once untimed, which wakes its threads and waits for those of the one before to rest, and then
    five times timed. The first turn counts as warm-up.
    """
    turns: list[list[list[float]]] = []
    end = time.perf_counter() + seconds
    while len(turns) <= TURNS[0] or (len(turns) <= TURNS[1] and time.perf_counter() < end):
        turns.append([turn(call) for call in calls])
    return np.array(turns[1:]).transpose(1, 0, 2).reshape(len(calls), -1)


def turn(call: Callable[[], Any]) -> list[float]:
    """Seconds of a few calls in a row, after one that does not count."""
    call()
    found = []
    for _ in range(EACH):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found
