"""Risk by coverage of the columns that need no annotation, for `report`, as `evaluate --doubt` measures them."""

import numpy as np
from markupsafe import Markup

from htltools.commands.report.samples import ReportSamples
from htltools.core.figures import svg_plots
from htltools.core.statistics.cluster_bootstrap import Estimate, estimates
from htltools.core.statistics.risk_coverage import FAILURE_IOU, DoubtMetrics, risk_curve
from htltools.formats.page import html

# columns that need no annotation, and so can be had of a new image
COLUMNS = (
    "mirror_disagreement",
    "look_disagreement",
    "soft_dice_doubt",
    "seed_disagreement",
    "dropout_disagreement",
    "pruned_disagreement",
    "pruned_shift",
)
METRICS = {
    "aurc": "AURC",
    "e_aurc": "E-AURC",
    "failure_auroc": f"AUROC of IoU < {FAILURE_IOU:g}",
    "selective_iou@0.8": "IoU of the 80 % surest",
    "selective_failure_rate@0.8": f"IoU < {FAILURE_IOU:g} among them",
}


class DoubtCurves:
    """The columns of doubt that all annotated samples of a split have, with their metrics; none where `found` is empty."""

    def __init__(self, samples: ReportSamples, split: str):
        self.split = split
        iou = samples.iou.get("dense", np.full(len(samples.rows), np.nan))
        own = (samples.splits == split) & np.isfinite(iou)
        enough = own.sum() > 2
        self.columns = {name: values[own] for name in COLUMNS if enough and np.isfinite((values := samples.known(name))[own]).all()}
        self.iou, groups = iou[own], samples.groups[own]
        measured = {name: DoubtMetrics(self.iou, values) for name, values in self.columns.items()}
        if measured:
            first = next(iter(measured.values()))
            measured |= {"random order": first.random(), "ideal order": first.ideal()}
        self.found = {name: estimates(each, groups, seed=samples.seed) for name, each in measured.items()}

    def parts(self) -> list[Markup]:
        """The curves and their table; nothing where there is no column."""
        if not self.columns:
            return []
        curves = {name: risk_curve(self.iou, values) for name, values in self.columns.items()}
        ideal, mean = risk_curve(self.iou, 1 - self.iou), float(1 - self.iou.mean())
        caption = f"Risk by coverage, {len(self.iou)} samples of split {self.split}: lower is better."
        table = [[name, *(number_text(own.get(metric)) for metric in METRICS)] for name, own in self.found.items()]
        return [
            html.paragraph(
                "Samples are answered in the order of their doubt, the least doubtful first. These columns need no annotation, so that a "
                "new image has them too. AURC: the area under the curve; E-AURC: above that of the ideal order; AUROC: the chance that a "
                "failure is more doubtful than another prediction, 0.5 of a random order."
            ),
            html.figure(svg_plots.risk_coverage(curves, ideal, mean), caption),
            html.table(["doubt", *METRICS.values()], table),
            html.paragraph("htl evaluate --doubt compares columns, gives these figures by subgroup, and sets a threshold.", "note"),
        ]

    def finding(self) -> str:
        """A sentence on the column that tells failures best; '' where there is none."""
        known = {name: self.found[name] for name in self.columns}
        if not known:
            return ""
        name = min(known, key=lambda name: (known[name]["aurc"].value, name))
        answered = f"have a mean IoU of {number_text(known[name]['selective_iou@0.8'])}, all {self.iou.mean():.3f}"
        if auroc := known[name].get("failure_auroc"):
            return (
                f"{name} tells predictions of an IoU below {FAILURE_IOU:g} from others with an AUROC of {number_text(auroc)}; the 80 % "
                f"least doubtful by it {answered}."
            )
        return f"The 80 % least doubtful by {name} {answered}."


def number_text(estimate: Estimate | None) -> str:
    """A value and its interval, where there is one."""
    if estimate is None:
        return "-"
    return f"{estimate.value:.3f}" + ("" if estimate.low is None else f" [{estimate.low:.3f}, {estimate.high:.3f}]")
