"""The tables of `evaluate`, for a person."""

import sys
from typing import Any

from htltools import console
from htltools.core.statistics.subgroups import FEW


def show(lines: list[dict[str, Any]]) -> None:
    """Print the metrics of all samples and of the subgroups, then the gaps between these, then who is hard."""
    chances = [line for line in lines if line["metric"] == "odds_ratio"]
    gaps = [line for line in lines if "by" in line]
    doubts = [line for line in lines if "doubt" in line]
    metrics = [line for line in lines if line["metric"] != "odds_ratio" and not {"by", "doubt", "class"} & line.keys()]
    classes = [line for line in lines if "class" in line and line["subgroup"] is None]
    for part, shown in ((metrics, show_metrics), (classes, show_classes), (gaps, show_gaps), (doubts, show_doubts), (chances, show_odds)):
        if part:
            shown(part)


def show_metrics(lines: list[dict[str, Any]]) -> None:
    """Print the metrics of all samples, with the differences beside them, then those of the subgroups."""
    titles: dict[str, dict[str, dict]] = {}
    for line in lines:
        titles.setdefault(titled(line), {})[line["metric"]] = line
    overall = titles.pop("")
    names = [name for name in overall if not name.endswith(".delta")]
    compared = len(names) < len(overall)
    headings = ["metric", "value", "95 % interval", *(["delta", "95 % interval"] if compared else [])]
    deltas = {name: metric_text(overall[f"{name}.delta"]) if f"{name}.delta" in overall else ("", "") for name in names if compared}
    table = [[name, *metric_text(overall[name]), *deltas.get(name, ())] for name in names]
    console.show_table(headings, table)
    if "runs" in overall["iou_mean"]:
        shown = [name for name in overall if "runs" in overall[name]]
        runs = [(name, overall[name]["runs"]) for name in shown if name.endswith(".delta") == compared]
        console.show_table(["over runs", "95 % interval", "each"], [[name, *runs_text(name, of)] for name, of in runs])
    if titles:
        second = "iou_mean.delta" if compared else next(name for name in ("ap50", "dice", "failure_rate") if name in overall)
        columns = ["iou_mean", second]  # more would not fit in 80 characters
        table = [
            [title, count_text(of["iou_mean"]["n"]), *(" ".join(metric_text(of[name])) if name in of else "-" for name in columns)]
            for title, of in titles.items()
        ]
        console.show_table(["subgroup", "n", *columns], table)


def show_classes(lines: list[dict[str, Any]]) -> None:
    """Print the metrics of each class of objects; in the place of precision, recall and F1 the difference, where there is one."""
    by_key = {(line["class"], line["metric"]): line for line in lines}
    compared = any(metric.endswith(".delta") for _, metric in by_key)

    def texts(name: str, metric: str) -> tuple[str, str]:
        return metric_text(by_key[name, metric]) if (name, metric) in by_key else ("-", "")

    columns = ["class_ap50", "class_ap50.delta"] if compared else ["class_ap50"]
    others = [] if compared else ["class_precision", "class_recall", "class_f1"]  # more would not fit in 80 characters
    table = []
    for name in dict.fromkeys(name for name, _ in by_key):
        objects = next(line["objects"] for line in lines if line["class"] == name)
        first = [" ".join(texts(name, metric)) for metric in columns]
        table.append([name, str(objects), *first, *(texts(name, metric)[0] for metric in others)])
    console.show_table(["class", "objects", *(metric.removeprefix("class_") for metric in columns + others)], table)


def show_gaps(lines: list[dict[str, Any]]) -> None:
    """Print the worst level and the gap of each crossing, by a few metrics, and the gap before where there is another model."""
    by_key = {(line["by"], line["metric"]): line for line in lines}
    compared = any(metric.endswith(".delta") for _, metric in by_key)
    table = []
    for by in dict.fromkeys(by for by, _ in by_key):
        for name in ("iou_mean", "iou_p10", "failure_rate"):  # the others are in the lines
            worst, gap = by_key[by, f"{name}.worst"], by_key[by, f"{name}.gap"]
            was = [before_text(by_key[by, f"{name}.gap.delta"]["before"])] if compared else []
            table.append([titled(worst), name, metric_text(worst)[0], " ".join(metric_text(gap)), f"{gap['p']:.3f}", *was])
    console.show_table(["worst", "metric", "value", "gap to the best", "p", *(["gap before, p"] if compared else [])], table)


def before_text(before: dict[str, Any]) -> str:
    """The gap of the other model in words."""
    return f"{before['value']:.3f}, {before['p']:.3f}"


def show_doubts(lines: list[dict[str, Any]]) -> None:
    """Print a few metrics of each column of doubt beside a random and the ideal order, differences between columns, and thresholds."""
    by_key = {(line["doubt"], line["metric"], line.get("against"), titled(line)): line for line in lines}
    metrics = {"aurc": "aurc", "e_aurc": "e_aurc", "failure_auroc": "auroc"}
    metrics |= {"selective_iou@0.8": "IoU at 80 %", "selective_failure_rate@0.8": "failures"}
    table = [
        [name, *(metric_text(by_key[key])[0] if (key := (name, metric, None, title)) in by_key else "-" for metric in metrics)]
        for name, title in dict.fromkeys((name, title) for name, metric, other, title in by_key if metric == "aurc")
        if not title
    ]
    console.show_table(["doubt", *metrics.values()], table)
    deltas = [
        [f"{line['doubt']} less {line['against']}", line["metric"].removesuffix(".delta"), *metric_text(line)]
        for line in lines
        if line["metric"].removesuffix(".delta") in metrics and line["metric"].endswith(".delta")
    ]
    if deltas:
        console.show_table(["difference", "metric", "value", "95 % interval"], deltas)
    promised = [line for line in lines if line["metric"] in ("refer_rate", "unreferred_failure_rate")]
    if promised:
        table = [[titled(line) or "all", line["metric"], str(line["n"]), *metric_text(line)] for line in promised]
        console.show_table([f"above {promised[0]['threshold']:g}", "metric", "n", "value", "95 % interval"], table)


def show_odds(lines: list[dict[str, Any]]) -> None:
    """Print the odds ratios of each subgroup by each column, the controls beside them; a star where q is below 0.05."""
    columns = [*dict.fromkeys(line["column"] for line in lines)]
    by_key = {(titled(line), line["column"]): line for line in lines}
    table, controls = [], []
    for title in dict.fromkeys(titled(line) for line in lines):
        first = by_key[title, columns[0]]
        table.append([title, count_text(first["n"]), str(first["hard"]), odds_text(first), odds_text(first["adjusted"])])
        controls.append([odds_text(by_key[title, column], interval=False) for column in columns[1:]])
    headings = ["subgroup", "n", "hard", f"odds ratio by {columns[0]}", "adjusted"]
    if not console.is_terminal(sys.stdout):
        console.show_table([*headings, *columns[1:]], [line + own for line, own in zip(table, controls)])
        return
    headings[3] = f"by {columns[0]}"
    console.show_table(headings, table, title="odds ratios")  # with the others beside it, it would not fit in 80 characters
    if columns[1:]:
        console.show_table(["the same by", *columns[1:]], [[line[0], *own] for line, own in zip(table, controls)])


def count_text(count: int) -> str:
    """The number of samples of a subgroup, with a word where they are too few for a conclusion."""
    return f"{count} few" if count < FEW else str(count)


def odds_text(line: dict[str, Any], *, interval: bool = True) -> str:
    """An odds ratio in words, with or without its interval."""
    value, low, high = ("-" if line[name] is None else f"{line[name]:.2f}" for name in ("value", "low", "high"))
    star = "*" if line["q"] is not None and line["q"] < 0.05 else ""
    return f"{value}{star} [{low}, {high}]" if interval else f"{value}{star}"


def titled(line: dict[str, Any]) -> str:
    """The name of the subgroup of a line; empty for all samples."""
    return " ".join(f"{field} {level}" for field, level in (line["subgroup"] or {}).items())


def metric_text(line: dict[str, Any]) -> tuple[str, str]:
    """Value and interval of a metric in words; differences with their sign."""
    form = "+.3f" if line["metric"].endswith(".delta") else ".3f"
    interval = "-" if line["low"] is None else f"[{line['low']:{form}}, {line['high']:{form}}]"
    return f"{line['value']:{form}}", interval


def runs_text(name: str, runs: dict[str, Any]) -> tuple[str, str]:
    """The interval over runs, and each of them, in words."""
    form = "+.3f" if name.endswith(".delta") else ".3f"
    return f"[{runs['low']:{form}}, {runs['high']:{form}}]", " ".join(f"{value:{form}}" for value in runs["values"])
