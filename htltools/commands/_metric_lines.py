"""What `evaluate` writes: a metric a line, or tables for a person."""

import sys
from pathlib import Path

from htltools import console
from htltools.commands._metric_tables import show
from htltools.core.bootstrap import Estimate
from htltools.formats.atomic import replacing
from htltools.formats.jsonlines import joined_lines
from htltools.formats.stream import writing


def metric_line(name: str, about: dict, estimate: Estimate, against: Path | None) -> dict:
    """One line of output."""
    numbers = {key: None if value is None else round(value, 6) + 0.0 for key, value in vars(estimate).items()}
    return {"metric": name, **about, **numbers, **({"against": str(against)} if name.endswith(".delta") else {})}


def write_metrics(lines: list[dict], out: Path | None) -> None:
    """Write the metrics to a file, or else to stdout. A terminal gets tables, and so does a stdout that the file left free."""
    if out:
        with replacing(out) as temporary:
            temporary.write_bytes(joined_lines(lines))
    with writing():
        if out or console.is_terminal(sys.stdout):
            show(lines)
        else:
            sys.stdout.buffer.write(joined_lines(lines))
        sys.stdout.flush()
