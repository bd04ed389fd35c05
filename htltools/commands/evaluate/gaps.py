"""Gaps between subgroups, for `evaluate --group-by`: the worst level by each metric, and its distance to the best."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from htltools import console
from htltools.commands.evaluate.lines import metric_line, rounded_number
from htltools.core.statistics.sample_metrics import SampleMetrics
from htltools.core.statistics.subgroup_gaps import Gap, subgroup_gaps
from htltools.core.statistics.subgroups import FEW, Crossing


def gap_lines(
    crossing: Crossing,
    parts: Sequence[tuple[dict[str, str], np.ndarray]],
    by_level: list[list[dict]],
    ours: list[SampleMetrics],
    groups: np.ndarray,
    theirs: list[SampleMetrics],
    against: list[Path],
    seed: int,
) -> list[dict]:
    """Lines of the worst level and of the gap, by each metric, and what either was before: nothing below two levels of 30 samples.

    parts: the levels and the places of their rows; by_level: the lines that each has already.
    ours, theirs: K runs each; the latter none where there is nothing to compare with.
    """
    by = "*".join(map(str, crossing))
    counted = [i for i, (_, places) in enumerate(parts) if len(places) >= FEW]
    if len(counted) < 2 or len(set(groups)) < 2:
        few = f"fewer than two levels have {FEW} samples" if len(counted) < 2 else "all samples are of one group"
        console.say(f"{by}: {few}: there is no gap to speak of")
        return []
    names = [parts[i][0] for i in counted]
    places = np.concatenate([parts[i][1] for i in counted])
    level = np.repeat(np.arange(len(counted)), [len(parts[i][1]) for i in counted])
    now, before = ([each.at(places) for each in side] for side in (ours, theirs))
    lines = []
    for name, (found, change) in subgroup_gaps(now, level, groups[places], before or None, seed=seed).items():
        own = next(line for line in by_level[counted[found.worst]] if line["metric"] == name)
        about = {"split": own["split"], "subgroup": None, "n": len(places)}
        lines.append({**own, "metric": f"{name}.worst", "by": by})
        lines.append(metric_line(f"{name}.gap", about, found.distance) | {"by": by} | ends(found, names) | {"p": rounded_number(found.p)})
        if change:
            then = ends(change.before, names)
            was = {"subgroup": then["worst"], "value": rounded_number(change.worst_before)}
            of_worst = about | {"subgroup": own["subgroup"], "n": own["n"]}
            lines.append(metric_line(f"{name}.worst.delta", of_worst, change.worst, against) | {"by": by, "before": was})
            was = then | {"value": rounded_number(change.before.distance.value), "p": rounded_number(change.before.p)}
            lines.append(metric_line(f"{name}.gap.delta", about, change.distance, against) | {"by": by, "before": was})
    return lines


def ends(gap: Gap, names: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    """The best and the worst level of a gap."""
    return {"best": names[gap.best], "worst": names[gap.worst]}
