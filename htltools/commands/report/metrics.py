"""The metrics of `report`, measured as `evaluate` measures: overall, by subgroup, and who is hard."""

from typing import Any

import numpy as np
from markupsafe import Markup

from htltools.commands.evaluate.measure import Measured, measured, metric_lines
from htltools.commands.evaluate.odds import odds_lines
from htltools.commands.report.samples import ReportSamples
from htltools.core.figures import svg_plots
from htltools.core.statistics.sample_metrics import BoxMetrics
from htltools.core.statistics.subgroups import Crossing
from htltools.formats.page import html
from htltools.formats.rows.row import Row
from htltools.formats.rows.vocabulary import METRICS

FEW = 30  # groups below which an interval is too narrow
TOP = 0.1  # share that counts as hard in the table of odds ratios

Lines = list[dict[str, Any]]


class ReportMetrics:
    """Metrics of each model on the annotated rows of a split, as lines of `evaluate` by role.

    A model that is not at hand is measured by the boxes that rows hold of it. The first role is the one that others are compared with.
    """

    def __init__(self, samples: ReportSamples, split: str, crossings: list[Crossing], seed: int):
        self.split, self.seed, self.crossings = split, seed, crossings
        known = np.isfinite(list(samples.iou.values())).all(0) if samples.iou else np.zeros(len(samples.rows), bool)
        places = np.flatnonzero((samples.splits == split) & known)
        self.rows: list[Row] = [samples.rows[place] for place in places]
        self.groups = set(samples.groups[places])
        self.lines: dict[str, Lines] = {}
        if not self.rows:
            return
        models = {
            role: [measured(model, self.rows) for model in samples.models.get(role, [])] or [by_boxes(iou[places])]
            for role, iou in samples.iou.items()
        }
        first, *others = models
        self.lines[first] = metric_lines(self.rows, models[first], [], crossings, split, seed, gaps=False)
        for role in others:
            compared = models[first] if len(models[first]) == len(models[role]) else []
            self.lines[role] = metric_lines(self.rows, models[role], compared, crossings, split, seed, gaps=False)

    def overall(self) -> list[Markup]:
        """The table of metrics of all samples."""
        if not self.rows:
            cause = f"No row of split {self.split} has both an annotated box and the predictions of the models: nothing to measure."
            return [html.paragraph(cause)]
        by_role = {role: {line["metric"]: line for line in lines if line["subgroup"] is None} for role, lines in self.lines.items()}
        first, *others = by_role
        headings = [first, *(heading for role in others for heading in (role, f"{role} less {first}"))]
        table = []
        for name in (name for name in METRICS if name in by_role[first]):
            cells = [estimate_text(by_role[first][name])]
            for role in others:
                cells += [estimate_text(by_role[role].get(name)), estimate_text(by_role[role].get(f"{name}.delta"), "+.3f")]
            table.append([name, *cells])
        few = " With so few groups they are too narrow." if len(self.groups) < FEW else ""
        return [
            html.paragraph(f"Split {self.split}: {len(self.rows)} samples of {len(self.groups)} groups."),
            html.table(["metric", *headings], table),
            html.paragraph(
                "Intervals come from 2,000 resamples of whole groups. They hold for patients like these and these very models: they say "
                f"nothing of other training seeds, which may change a result by more.{few}",
                "note",
            ),
        ]

    def by_subgroup(self) -> list[Markup]:
        """The forest plot of the mean IoU, and its table."""
        means = {role: [line for line in lines if line["metric"] == "iou_mean" and line["subgroup"]] for role, lines in self.lines.items()}
        if not any(means.values()):
            return [html.paragraph("No subgroups: no field was asked for with --group-by, and none was chosen.")]
        first = next(iter(means))
        labels = [", ".join(f"{name} {level}" for name, level in line["subgroup"].items()) for line in means[first]]
        overall = next(line["value"] for line in self.lines[first] if line["metric"] == "iou_mean")
        points = {role: [(line["value"], line["low"], line["high"]) for line in own] for role, own in means.items()}
        short = [f"{label[:32]} ({line['n']})" for label, line in zip(labels, means[first])]
        table = [
            [label, str(line["n"]), *(estimate_text(means[role][i]) for role in means)]
            for i, (label, line) in enumerate(zip(labels, means[first]))
        ]
        caption = (
            f"Mean IoU by subgroup of split {self.split}, with the number of samples; dotted: the {first} model on all of them. "
            "Not corrected for looking at many subgroups."
        )
        return [
            html.figures(
                html.figure(svg_plots.forest(short, points, overall, "mean IoU with 95 % interval"), caption),
                html.table(["subgroup", "n", *(f"{role}: mean IoU" for role in means)], table),
            ),
        ]

    def who_is_hard(self, by: str) -> list[Markup]:
        """The odds of each subgroup to be among the hardest tenth by a column, as they are and adjusted, beside `loss` and `random`."""
        rows = [row for row in self.rows if by in row.hardness or by in ("random", "smallness")]
        if not self.crossings or not rows or len(rows) < len(self.rows):
            return []
        lines, _ = odds_lines(rows, [by], TOP, self.crossings, self.split, self.seed)
        columns = list(dict.fromkeys(line["column"] for line in lines))
        found = {(tuple(line["subgroup"].items()), line["column"]): line for line in lines}
        table = []
        for subgroup in dict.fromkeys(key for key, _ in found):
            line = found[subgroup, columns[0]]
            others = [estimate_text(found[subgroup, column], ".2f", interval=False) for column in columns[1:]]
            level = ", ".join(f"{name} {value}" for name, value in subgroup)
            table.append(
                [level, str(line["n"]), str(line["hard"]), estimate_text(line, ".2f"), estimate_text(line["adjusted"], ".2f"), *others]
            )
        explanation = (
            f"Odds ratio of being among the hardest {TOP:.0%} by {by}, with 95 % interval: more than 1 = more often hard than all other "
            "samples. Adjusted: at equal lesion area, contact with the border and label. * = q below .05 (Benjamini-Hochberg)."
        )
        headings = ["subgroup", "n", "hard", f"by {columns[0]}", "adjusted", *(f"by {column}" for column in columns[1:])]
        return [html.heading("Who is hard"), html.paragraph(explanation), html.table(headings, table)]


def by_boxes(iou: np.ndarray) -> Measured:
    """A model that is not at hand, by the IoU of the boxes that rows hold of it."""
    return Measured(None, np.zeros((0, 4)), BoxMetrics(iou), {})


def estimate_text(line: dict[str, Any] | None, form: str = ".3f", *, interval: bool = True) -> str:
    """A value, its interval where there is one, and a star where its q is small."""
    if line is None or line.get("value") is None:
        return "-"
    star = "*" if line.get("q") is not None and line["q"] < 0.05 else ""
    low, high = ("?" if line.get(end) is None else f"{line[end]:{form}}" for end in ("low", "high"))
    ends = f" [{low}, {high}]" if interval and (low, high) != ("?", "?") else ""
    return f"{line['value']:{form}}{ends}{star}"
