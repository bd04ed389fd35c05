"""Times of calls."""

import time

from htltools.commands.export.latency import latencies


def test_turns_alternate():
    """The calls take turns, each some times in a row; the first of a row and the first turn do not count."""
    calls = []
    seconds = latencies([lambda: calls.append("a"), lambda: calls.append("b")], 0)
    assert calls == (["a"] * 6 + ["b"] * 6) * 4
    assert seconds.shape == (2, 15)
    assert (seconds >= 0).all()


def test_times_are_seconds():
    """Each call has its own times, whatever the others take."""
    slow, quick = latencies([lambda: time.sleep(0.01), lambda: None], 0.5)
    assert slow.min() >= 0.01
    assert quick.mean() < slow.mean()
