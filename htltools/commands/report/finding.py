"""The title of a report, and what it found, in three sentences with figures and intervals."""

from pathlib import Path

import numpy as np
from markupsafe import Markup

from htltools.commands.evaluate.conclusion import verdict
from htltools.commands.report.doubt_curves import DoubtCurves
from htltools.commands.report.hard_subgroups import HardSubgroups
from htltools.commands.report.metrics import ReportMetrics, estimate_text
from htltools.commands.report.samples import ATTENDED, ReportSamples
from htltools.core.hardness.rank_stability import correlation_interval, rank_correlation
from htltools.formats.page import html

MORE_METRICS = {"dice": "a mean Dice", "ap50": "an AP50"}


def page_title(samples: ReportSamples) -> str:
    """A title with the name of the data: of the folder that the images are stored in."""
    stores = dict.fromkeys(Path(row.store).parent.name for row in samples.rows if row.store)
    return f"Hard-to-learn samples of {' and '.join(stores)}" if 0 < len(stores) <= 2 else "Hard-to-learn samples"


def finding(
    samples: ReportSamples, by: str, hardness: np.ndarray, metrics: ReportMetrics, hard: HardSubgroups, doubt: DoubtCurves
) -> Markup:
    """What was found: how good the model is, who is hard, and what attention changes; else what tells failures, or what hardness is."""
    sentences = [how_good(metrics), hard.finding(), what_changes(metrics) or doubt.finding() or what_it_goes_with(samples, by, hardness)]
    return html.items([sentence for sentence in sentences if sentence], "finding")


def how_good(metrics: ReportMetrics) -> str:
    """A sentence on the first model."""
    if not metrics.rows:
        return f"No row of split {metrics.split} has both an annotated box and the predictions of the models: nothing to measure."
    role, lines = next(iter(metrics.overall_lines.items()))
    more = "".join(f" and {words} of {estimate_text(lines[name])}" for name, words in MORE_METRICS.items() if name in lines)
    failures = lines["failure_rate"]
    share, ends = f"{failures['value']:.1%}", failures["low"]
    interval = "" if ends is None else f" [{failures['low']:.1%}, {failures['high']:.1%}]"
    return (
        f"On the {len(metrics.rows)} samples of {len(metrics.groups)} groups of split {metrics.split} the {role} model has a mean IoU of "
        f"{estimate_text(lines['iou_mean'])}{more}; {share}{interval} of its predictions miss (IoU below 0.1)"
        f"{': it was fitted to these samples, no held-out figure' if metrics.split == 'train' else ''}."
    )


def what_changes(metrics: ReportMetrics) -> str:
    """A sentence on the model that attended, as `evaluate --baseline` says it; '' where there is none."""
    line = metrics.overall_lines.get(ATTENDED, {}).get("iou_mean.delta")
    return f"With attention, {verdict(line)}." if line else ""


def what_it_goes_with(samples: ReportSamples, by: str, hardness: np.ndarray) -> str:
    """A sentence on what else the hardness ranks alike; '' where that is not known."""
    others = {name: correlation(hardness, samples.known(name), samples.groups) for name in ("loss", "smallness") if name != by}
    known = [f"{text} with {name}" for name, text in others.items() if text != "-"]
    return f"The rank correlation of {by} is {' and '.join(known)}." if known else ""


def correlation(a: np.ndarray, b: np.ndarray, groups: np.ndarray) -> str:
    """The rank correlation of a and b [N] with its interval by the number of groups."""
    count = len(set(groups[np.isfinite(a) & np.isfinite(b)]))
    found = rank_correlation(a, b)
    if np.isnan(found) or count < 4:
        return "-"
    low, high = correlation_interval(found, count)
    return f"{found:+.2f} [{low:+.2f}, {high:+.2f}]"
