"""What `evaluate` writes: a metric a line, or tables for a person."""

import sys
from pathlib import Path

from htltools import console
from htltools.core.bootstrap import Estimate
from htltools.formats.atomic import replacing
from htltools.formats.jsonlines import joined_lines
from htltools.formats.stream import writing

COLUMNS = "iou_mean", "failure_rate", "iou_mean.delta"  # those of the table of subgroups


def metric_line(name: str, about: dict, estimate: Estimate, against: Path | None) -> dict:
    """One line of output."""
    numbers = {key: None if value is None else round(value, 6) + 0.0 for key, value in vars(estimate).items()}
    return {"metric": name, **about, **numbers, **({"against": str(against)} if name.endswith(".delta") else {})}


def write_metrics(lines: list[dict], out: Path | None) -> None:
    """Write the metrics to a file, or else to stdout; a terminal gets tables."""
    if out:
        with replacing(out) as temporary:
            temporary.write_bytes(joined_lines(lines))
    if console.is_terminal(sys.stdout):
        show(lines)
    elif not out:
        with writing():
            sys.stdout.buffer.write(joined_lines(lines))
            sys.stdout.buffer.flush()


def show(lines: list[dict]) -> None:
    """Print the metrics of all samples, then those of the subgroups."""
    overall = [line for line in lines if line["subgroup"] is None]
    console.show_table(["metric", "value", "95 % interval"], [[line["metric"], *told(line)] for line in overall])
    by_subgroup: dict[str, dict[str, dict]] = {}
    for line in lines:
        for field, level in (line["subgroup"] or {}).items():
            by_subgroup.setdefault(f"{field} {level}", {})[line["metric"]] = line
    if by_subgroup:
        names = [name for name in COLUMNS if any(line["metric"] == name for line in lines)]
        table = [[title, str(of["iou_mean"]["n"]), *(" ".join(told(of[name])) for name in names)] for title, of in by_subgroup.items()]
        console.show_table(["subgroup", "n", *names], table)


def told(line: dict) -> tuple[str, str]:
    """Value and interval of a metric in words; differences with their sign."""
    form = "+.3f" if line["metric"].endswith(".delta") else ".3f"
    interval = "-" if line["low"] is None else f"[{line['low']:{form}}, {line['high']:{form}}]"
    return f"{line['value']:{form}}", interval
