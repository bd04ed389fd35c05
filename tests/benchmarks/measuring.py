"""How the benchmarks measure: both sides by turns, so that whatever else the machine does falls on both alike."""

import statistics
import time
from collections.abc import Callable
from typing import Any


def alternating(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> tuple[float, float, float, float, float]:
    """Median seconds (wall) of ours and of theirs, and how many times as fast ours is: median, 10th and 90th percentile."""
    seconds = [(elapsed(ours), elapsed(theirs)) for _ in range(repeats)]
    mine, others = (statistics.median(column) for column in zip(*seconds, strict=True))
    ratios = sorted(other / own for own, other in seconds)
    return mine, others, statistics.median(ratios), ratios[round(0.1 * (repeats - 1))], ratios[round(0.9 * (repeats - 1))]


def elapsed(work: Callable[[], Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def show(rows: list[dict[str, Any]]) -> None:
    """Print the rows as a table; a ratio above 1 says that htl is faster."""
    header = ("what", "peer", "htl", "peer's", "unit", "ratio", "10-90 %")
    cells = [(row["what"], row["peer"], *map(figure, (row["ours"], row["theirs"])), row["unit"], *ratio_cells(row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    for line in (header, *cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def ratio_cells(row: dict[str, Any]) -> tuple[str, str]:
    """The ratio and its spread."""
    return f"{row['ratio']:.2f}", f"{row['low']:.2f}-{row['high']:.2f}"


def figure(value: float) -> str:
    """A number with three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
