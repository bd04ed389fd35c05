"""The metrics of `report`: overall and by subgroup, with intervals."""

import numpy as np

from htltools.commands.report.samples import ReportSamples
from htltools.core.figures import svg_plots
from htltools.core.statistics.cluster_bootstrap import Estimate, estimates
from htltools.core.statistics.subgroups import Crossing, subgroups
from htltools.formats.page import html
from htltools.formats.rows.vocabulary import METRICS

FEW = 30  # groups below which an interval is too narrow


class Measured:
    """The IoU of each model on the annotated rows of a split."""

    def __init__(self, judged: ReportSamples, split: str, seed: int):
        iou = judged.iou
        there = np.isfinite(list(iou.values())).all(0) if iou else np.zeros(len(judged.rows), bool)
        self.places = np.flatnonzero((judged.splits == split) & there)
        self.rows = [judged.rows[place] for place in self.places]
        self.groups = judged.groups[self.places]
        self.iou = {role: values[self.places] for role, values in iou.items()}
        self.split, self.seed = split, seed

    def estimates(self, places: np.ndarray) -> dict[str, dict[str, Estimate]]:
        """Metrics by role of some of the rows; those of all but the first role with differences to the first."""
        first = next(iter(self.iou))
        return {
            role: estimates(own[places], self.groups[places], None if role == first else self.iou[first][places], seed=self.seed)
            for role, own in self.iou.items()
        }

    def parts(self) -> list[str]:
        """The table of metrics."""
        if not self.rows:
            return [
                html.paragraph(f"No row of split {self.split} has both an annotated box and the answers of the models: nothing to measure.")
            ]
        found = self.estimates(np.arange(len(self.rows)))
        first, *others = found
        headings = ["metric", first]
        for role in others:
            headings += [role, f"{role} less {first}"]
        lines = []
        for name in (name for name in METRICS if name in found[first]):
            line = [name, in_words(found[first][name])]
            for role in others:
                line += [in_words(found[role][name]), in_words(found[role][f"{name}.delta"], "+.3f")]
            lines.append(line)
        few = " With so few groups they are too narrow." if len(set(self.groups)) < FEW else ""
        return [
            html.paragraph(f"Split {self.split}: {len(self.rows)} samples of {len(set(self.groups))} groups."),
            html.table(headings, lines),
            html.paragraph(
                "Intervals come from 2,000 resamples of whole groups. They hold for patients like these and these very models: they say "
                f"nothing of other training seeds, which may change a result by more.{few}",
                "note",
            ),
        ]

    def subgroup_parts(self, crossings: list[Crossing]) -> list[str]:
        """The forest plot of the mean IoU, and its table."""
        labels, found = [], []
        for crossing in crossings if self.rows else []:
            for levels, places in subgroups(self.rows, crossing):
                labels.append(", ".join(f"{name} {level}" for name, level in levels.items()))
                found.append((len(places), self.estimates(places)))
        if not labels:
            return [html.paragraph("No subgroups: no field was asked for with --group-by, and none was chosen.")]
        roles = list(self.iou)
        means = {role: [each[role]["iou_mean"] for _, each in found] for role in roles}
        overall = float(self.iou[roles[0]].mean())
        points = {role: [(e.value, e.low, e.high) for e in own] for role, own in means.items()}
        short = [f"{label[:32]} ({count})" for label, (count, _) in zip(labels, found)]
        lines = [[label, str(count), *(in_words(means[r][i]) for r in roles)] for i, (label, (count, _)) in enumerate(zip(labels, found))]
        return [
            html.figures(
                html.figure(
                    svg_plots.forest(short, points, overall, "mean IoU with 95 % interval"),
                    f"Mean IoU by subgroup of split {self.split}, with the number of samples; dotted: the {roles[0]} model on all of them. "
                    "Not corrected for looking at many subgroups.",
                ),
                html.table(["subgroup", "n", *(f"{role}: mean IoU" for role in roles)], lines),
            ),
        ]


def in_words(estimate: Estimate, form: str = ".3f") -> str:
    """A value, and its interval where there is one."""
    return f"{estimate.value:{form}}" + ("" if estimate.low is None else f" [{estimate.low:{form}}, {estimate.high:{form}}]")
