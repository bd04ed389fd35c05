"""The tables of `evaluate`, for a person."""

from htltools import console


def show(lines: list[dict]) -> None:
    """Print the metrics of all samples and of the subgroups, then who is hard."""
    chances = [line for line in lines if line["metric"] == "odds_ratio"]
    if len(chances) < len(lines):
        show_metrics([line for line in lines if line["metric"] != "odds_ratio"])
    if chances:
        show_odds(chances)


def show_metrics(lines: list[dict]) -> None:
    """Print the metrics of all samples, with the differences beside them, then those of the subgroups."""
    titles: dict[str, dict[str, dict]] = {}
    for line in lines:
        titles.setdefault(titled(line), {})[line["metric"]] = line
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


def show_odds(lines: list[dict]) -> None:
    """Print the odds ratios of each subgroup by each column, the controls beside them; a star where q is below 0.05."""
    columns = [*dict.fromkeys(line["column"] for line in lines)]
    found = {(titled(line), line["column"]): line for line in lines}
    table = []
    for title in dict.fromkeys(titled(line) for line in lines):
        first = found[title, columns[0]]
        count = f"{first['n']}{' few' if first['few'] else ''}"
        others = [odds_told(found[title, column], interval=False) for column in columns[1:]]
        table.append([title, count, str(first["hard"]), odds_told(first), odds_told(first["adjusted"]), *others])
    console.show_table(["subgroup", "n", "hard", f"odds ratio by {columns[0]}", "adjusted", *columns[1:]], table)


def odds_told(line: dict, *, interval: bool = True) -> str:
    """An odds ratio in words, with or without its interval."""
    value, low, high = ("-" if line[name] is None else f"{line[name]:.2f}" for name in ("value", "low", "high"))
    star = "*" if line["q"] is not None and line["q"] < 0.05 else ""
    return f"{value}{star} [{low}, {high}]" if interval else f"{value}{star}"


def titled(line: dict) -> str:
    """The name of the subgroup of a line; empty for all samples."""
    return " ".join(f"{field} {level}" for field, level in (line["subgroup"] or {}).items())


def told(line: dict) -> tuple[str, str]:
    """Value and interval of a metric in words; differences with their sign."""
    form = "+.3f" if line["metric"].endswith(".delta") else ".3f"
    interval = "-" if line["low"] is None else f"[{line['low']:{form}}, {line['high']:{form}}]"
    return f"{line['value']:{form}}", interval
