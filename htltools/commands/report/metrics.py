"""The metrics of `report`, measured as `evaluate` measures: overall, by class of objects and by subgroup."""

from functools import cached_property
from typing import Any

import numpy as np
from markupsafe import Markup

from htltools.commands.evaluate.measure import Measured, measured, metric_lines
from htltools.commands.report.samples import ReportSamples
from htltools.core.figures import forest_plots, svg_plots
from htltools.core.statistics.detection_rates import OperatingPoints, operating_points
from htltools.core.statistics.sample_metrics import BoxMetrics, DetectionMetrics
from htltools.core.statistics.subgroups import FEW, Crossing
from htltools.formats.page import html
from htltools.formats.rows.spooled import rows_at
from htltools.formats.rows.vocabulary import METRICS

FEW_GROUPS = 30  # below which an interval is too narrow

Lines = list[dict[str, Any]]


class ReportMetrics:
    """Metrics of each model on the annotated rows of a split, as lines of `evaluate` by role.

    A model that is not at hand is measured by the boxes that rows hold of it. The first role is the one that others are compared with.
    """

    def __init__(self, samples: ReportSamples, split: str, crossings: list[Crossing], seed: int):
        self.split, self.seed, self.crossings = split, seed, crossings
        known = np.isfinite(list(samples.iou.values())).all(0) if samples.iou else np.zeros(len(samples.rows), bool)
        places = np.flatnonzero((samples.splits == split) & known)
        self.rows = rows_at(samples.rows, places)
        self.groups = set(samples.groups[places])
        self.by_boxes = [role for role in samples.iou if not samples.models.get(role)]
        self.lines: dict[str, Lines] = {}
        self.objects: dict[str, OperatingPoints] = {}  # by role, of models that find several objects, the first of each role
        if not self.rows:
            return
        models = {
            role: [measured(model, self.rows) for model in samples.models.get(role, [])] or [by_boxes(iou[places])]
            for role, iou in samples.iou.items()
        }
        first, *others = models
        self.objects = {
            role: operating_points(own[0].samples.matches.pooled)
            for role, own in models.items()
            if isinstance(own[0].samples, DetectionMetrics)
        }
        for role, own in models.items():
            compared = models[first] if role in others and len(models[first]) == len(own) else []
            by_iou = [Measured(each.predictor, each.predictions, BoxMetrics(each.samples.iou), {}) for each in own]
            of_subgroups = metric_lines(self.rows, by_iou, [], crossings, split, seed, gaps=False)  # shown by mean IoU alone
            self.lines[role] = [
                *metric_lines(self.rows, own, compared, [], split, seed, gaps=False),
                *(line for line in of_subgroups if line["subgroup"]),
            ]

    @cached_property
    def overall_lines(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The lines of all samples and all classes together, by role and metric."""
        return {
            role: {line["metric"]: line for line in lines if line["subgroup"] is None and "class" not in line}
            for role, lines in self.lines.items()
        }

    def overall(self) -> list[Markup]:
        """The table of metrics of all samples; nothing where there is none to measure."""
        if not self.rows:
            return []
        by_role = self.overall_lines
        first, *others = by_role
        headings = [first, *(heading for role in others for heading in (role, f"{role} less {first}"))]
        table = []
        for name in (name for name in METRICS if any(name in own for own in by_role.values())):
            cells = [estimate_text(by_role[first].get(name))]
            for role in others:
                cells += [estimate_text(by_role[role].get(name)), estimate_text(by_role[role].get(f"{name}.delta"), "+.3f")]
            table.append([name, *cells])
        few = " With so few groups they are too narrow." if len(self.groups) < FEW_GROUPS else ""
        absent = "".join(f" The {role} model is not at hand, and measured by the boxes that rows hold of it." for role in self.by_boxes)
        return [
            html.paragraph(f"Split {self.split}: {len(self.rows)} samples of {len(self.groups)} groups.{absent}"),
            html.table(["metric", *headings], table),
            *self.by_class(),
            *self.curves(),
            html.paragraph(
                "Intervals come from 2,000 resamples of whole groups. They hold for patients like these and these very models: they say "
                f"nothing of other training seeds, which may change a result by more.{few}",
                "note",
            ),
        ]

    def by_class(self) -> list[Markup]:
        """The metrics of each class of objects, where there are several."""
        found = {
            (line["class"], role, line["metric"]): line
            for role, lines in self.lines.items()
            for line in lines
            if "class" in line and line["subgroup"] is None
        }
        names = [name for name in METRICS if any(name == metric for _, _, metric in found)]
        table = []
        classes = dict.fromkeys(of_class for of_class, _, _ in found)
        for of_class, role in ((of_class, role) for of_class in classes for role in self.lines):
            objects = next(str(line["objects"]) for key, line in found.items() if key[0] == of_class)
            table.append([of_class, objects, role, *(estimate_text(found.get((of_class, role, name))) for name in names)])
        headings = ["class", "objects", "model", *(name.removeprefix("class_") for name in names)]
        return [html.heading("By class"), html.table(headings, table)] if table else []

    def curves(self) -> list[Markup]:
        """Precision by recall, and FROC, of models that find several objects."""
        if not self.objects:
            return []
        caption = (
            f"Every score threshold, all classes together, split {self.split}; an object is found from IoU 0.5 on. Left: precision by "
            "recall. Right: FROC, the share of objects found by the false positives per image."
        )
        return [html.figure(svg_plots.detection_curves({role: own._asdict() for role, own in self.objects.items()}), caption)]

    def by_subgroup(self) -> list[Markup]:
        """The forest plot of the mean IoU, and its table; levels of few samples are in the table alone."""
        means = {role: [line for line in lines if line["metric"] == "iou_mean" and line["subgroup"]] for role, lines in self.lines.items()}
        if not any(means.values()):
            return []
        first = next(iter(means))
        table = [
            [subgroup_text(line), count_text(line), *(estimate_text(own[i]) for own in means.values())]
            for i, line in enumerate(means[first])
        ]
        drawn = [i for i, line in enumerate(means[first]) if line["n"] >= FEW]
        parts: list[Markup] = []
        if drawn:
            labels = [f"{subgroup_text(means[first][i])[:32]} ({means[first][i]['n']})" for i in drawn]
            points = {role: [tuple(own[i][key] for key in ("value", "low", "high")) for i in drawn] for role, own in means.items()}
            caption = (
                f"Mean IoU by subgroup of split {self.split}, with the number of samples; dotted: the {first} model on all of them. "
                f"Not corrected for looking at many subgroups.{left_out_text(len(table) - len(drawn))}"
            )
            overall = self.overall_lines[first]["iou_mean"]["value"]
            parts.append(html.figure(forest_plots.forest(labels, points, overall, "mean IoU with 95 % interval"), caption))
        few = [line for line in table if "few" in line[1]]
        headings = ["subgroup", "n", *(f"{role}: mean IoU" for role in means)]
        return [*parts, *tables_by_size(headings, [line for line in table if line not in few], few)]


def tables_by_size(headings: list[str], table: list[list[str]], few: list[list[str]]) -> list[Markup]:
    """The table of levels of enough samples, and that of the others, which shows on demand."""
    shown = [html.table(headings, table)] if table else []
    title = f"{len(few)} level{'s' if len(few) > 1 else ''} of fewer than {FEW} samples: too few for a conclusion"
    return [*shown, *([html.folded(title, html.table(headings, few))] if few else [])]


def left_out_text(count: int) -> str:
    """What a caption says of levels that are not drawn."""
    return f" Levels of fewer than {FEW} samples are left out: {count}." if count else ""


def subgroup_text(line: dict[str, Any]) -> str:
    """The name of the subgroup of a line."""
    return ", ".join(f"{name} {level}" for name, level in line["subgroup"].items())


def count_text(line: dict[str, Any]) -> str:
    """The number of samples of a line, marked where it is small."""
    return f"{line['n']} few" if line["n"] < FEW else str(line["n"])


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
