"""What `evaluate` writes: a metric a line, or tables for a person."""

import sys
from collections.abc import Sequence
from pathlib import Path

from htltools import console
from htltools.commands.evaluate.tables import show
from htltools.core.statistics.cluster_bootstrap import Estimate, run_interval
from htltools.formats.files.atomic import replacing
from htltools.formats.rows.jsonlines import joined_lines, writing


def metric_line(name: str, about: dict, estimate: Estimate, against: Sequence[Path | str] = ()) -> dict:
    """One line of output: a value with its interval over groups and, of several runs, each with the interval over them.

    A metric of one class of objects is named CLASS/METRIC, and its line says the class.
    """
    numbers = {key: rounded_number(getattr(estimate, key)) for key in ("value", "low", "high")}
    of_class, _, name = name.rpartition("/")
    line = {"metric": name, **about, **({"class": of_class} if of_class else {}), **numbers}
    if len(estimate.runs) > 1:
        low, high = run_interval(estimate.runs)
        line["runs"] = {
            "values": [rounded_number(value) for value in estimate.runs],
            "low": rounded_number(low),
            "high": rounded_number(high),
        }
    if not name.endswith(".delta"):
        return line
    if "runs" in line:
        line["runs"]["signs"] = "".join("+" if value > 0 else "-" if value < 0 else "0" for value in line["runs"]["values"])
    return line | {"against": str(against[0]) if len(against) == 1 else [str(path) for path in against]}


def rounded_number(number: float | None) -> float | None:
    """A number as it is written."""
    return None if number is None else round(number, 6) + 0.0


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
