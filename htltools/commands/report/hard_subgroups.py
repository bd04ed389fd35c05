"""Who is hard: the odds of subgroups to be among the hardest, for `report`, as `evaluate --hard` gives them."""

from typing import Any

from markupsafe import Markup

from htltools.commands.evaluate.odds import odds_lines
from htltools.commands.report.metrics import ReportMetrics, count_text, estimate_text, left_out_text, subgroup_text, tables_by_size
from htltools.commands.shared.hardness import OF_ROWS
from htltools.core.figures import forest_plots
from htltools.core.statistics.subgroups import FEW
from htltools.formats.page import html

TOP = 0.1  # share that counts as hard
ALPHA = 0.05


class HardSubgroups:
    """The odds ratios of the subgroups of a split by a column of hardness, and by the controls; `absent`: why there are none, or ''."""

    def __init__(self, metrics: ReportMetrics, by: str):
        self.by, self.split = by, metrics.split
        self.lines: list[dict[str, Any]] = []
        unknown = 0 if by in OF_ROWS else sum(by not in row.hardness for row in metrics.rows)
        if not metrics.crossings:
            self.absent = "there are no fields to group by"
        elif not metrics.rows:
            self.absent = f"no row of split {self.split} can be measured"
        elif unknown:
            self.absent = f"{unknown} rows of split {self.split} have no {by}"
        else:
            self.absent = ""
            self.lines = odds_lines(metrics.rows, [by], TOP, metrics.crossings, self.split, metrics.seed)[0]

    @property
    def columns(self) -> list[str]:
        """The column, and the controls beside it."""
        return list(dict.fromkeys(line["column"] for line in self.lines))

    def parts(self) -> list[Markup]:
        """The forest plot, and its table; levels of few samples are in the table alone."""
        if not self.lines:
            return []
        columns, found = self.columns, {(subgroup_text(line), line["column"]): line for line in self.lines}
        levels = [line for line in self.lines if line["column"] == columns[0]]
        drawn = [line for line in levels if not line["few"]]
        explanation = (
            f"The odds of a subgroup to be among the hardest {TOP:.0%} by {columns[0]}, over those of all other samples: more than 1 = "
            "more often hard. Adjusted: at equal lesion area, contact with the border and label, as far as a regression can tell. A "
            f"subgroup that stands out by {columns[0]} and not by loss is what pruning adds; by random none should. * = q below {ALPHA} "
            "(Benjamini-Hochberg)."
        )
        parts = [html.paragraph(explanation)]
        if drawn:
            names = [subgroup_text(line) for line in drawn]
            adjusted = {
                column: [tuple(found[name, column]["adjusted"][key] for key in ("value", "low", "high")) for name in names]
                for column in columns
            }
            labels = [f"{name[:32]} ({line['n']})" for name, line in zip(names, drawn)]
            crude = [line["value"] for line in drawn]
            caption = (
                f"Adjusted odds ratios with 95 % intervals, split {self.split}, and the number of samples; ring: by {columns[0]}, not "
                f"adjusted.{left_out_text(len(levels) - len(drawn))}"
            )
            parts.append(
                html.figure(forest_plots.odds_forest(labels, adjusted, crude, f"odds ratio of being among the hardest {TOP:.0%}"), caption)
            )
        others = [f"by {column}, adjusted" for column in columns[1:]]
        headings = ["subgroup", "n", "hard", f"by {columns[0]}", "adjusted", *others]
        tables: dict[bool, list[list[str]]] = {False: [], True: []}
        for line in levels:
            values = [line, line["adjusted"], *(found[subgroup_text(line), column]["adjusted"] for column in columns[1:])]
            cells = [subgroup_text(line), count_text(line), str(line["hard"]), *(estimate_text(each, ".2f") for each in values)]
            tables[line["few"]].append(cells)
        return [*parts, *tables_by_size(headings, tables[False], tables[True])]

    def finding(self) -> str:
        """A sentence: which subgroup is most surely hard more often than others; '' where there are no odds."""
        if not self.lines:
            return ""
        columns = self.columns
        large = [line for line in self.lines if line["column"] == columns[0] and not line["few"]]
        if not large:
            return f"No subgroup of split {self.split} has {FEW} samples: they are too few to tell who is hard by {columns[0]}."
        hard = [line for line in large if line["q"] is not None and line["q"] < ALPHA and line["hard"] > TOP * line["n"]]
        among = f"among the hardest {TOP:.0%} by {columns[0]}"
        if not hard:
            return f"None of the {len(large)} subgroups of {FEW} samples or more is {among} more often than chance explains (q < {ALPHA})."
        first, *others = sorted(hard, key=lambda line: (line["q"], -line["hard"] / line["n"], subgroup_text(line)))
        controls = [
            f"{estimate_text(line, '.2f', interval=False).rstrip('*')} by {line['column']}"
            for line in self.lines
            if line["column"] != columns[0] and line["subgroup"] == first["subgroup"]
        ]
        more = f"; {' and '.join(subgroup_text(line) for line in others[:2])} stand{'s' * (len(others) == 1)} out too" if others else ""
        return (
            f"{first['hard']} of the {first['n']} samples of {subgroup_text(first)} are {among}, an odds ratio of "
            f"{estimate_text(first, '.2f').rstrip('*')}, {' and '.join(controls)}; {adjusted_text(first['adjusted'])}{more}."
        )


def adjusted_text(line: dict[str, Any]) -> str:
    """An adjusted odds ratio in words, and whether its interval leaves out 1."""
    equal = "at equal area, border contact and label"
    if line["value"] is None:
        return f"{equal} it is not known"
    ratio = estimate_text(line, ".2f").rstrip("*")
    return f"{equal} {ratio}" + ("" if line["low"] > 1 or line["high"] < 1 else ", which may be chance")
