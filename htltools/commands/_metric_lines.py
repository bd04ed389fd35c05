"""What `evaluate` writes: a metric a line, or tables for a person."""

import sys
from pathlib import Path

from htltools import console
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


def show(lines: list[dict]) -> None:
    """Print the metrics of all samples, with the differences beside them, then those of the subgroups."""
    titles: dict[str, dict[str, dict]] = {}
    for line in lines:
        title = " ".join(f"{field} {level}" for field, level in (line["subgroup"] or {}).items())
        titles.setdefault(title, {})[line["metric"]] = line
    overall = titles.pop("")
    names = [name for name in overall if not name.endswith(".delta")]
    compared = len(names) < len(overall)
    headings = ["metric", "value", "95 % interval", *(["delta", "95 % interval"] if compared else [])]
    deltas = {name: told(overall[f"{name}.delta"]) if f"{name}.delta" in overall else ("", "") for name in names if compared}
    table = [[name, *told(overall[name]), *deltas.get(name, ())] for name in names]
    console.show_table(headings, table)
    if titles:
        columns = ["iou_mean", "iou_mean.delta" if compared else "failure_rate"]  # more would not fit in 80 characters
        table = [[title, str(of[columns[0]]["n"]), *(" ".join(told(of[name])) for name in columns)] for title, of in titles.items()]
        console.show_table(["subgroup", "n", *columns], table)


def told(line: dict) -> tuple[str, str]:
    """Value and interval of a metric in words; differences with their sign."""
    form = "+.3f" if line["metric"].endswith(".delta") else ".3f"
    interval = "-" if line["low"] is None else f"[{line['low']:{form}}, {line['high']:{form}}]"
    return f"{line['value']:{form}}", interval
