"""What the figures of a comparison allow one to say, in a sentence."""

from typing import Any


def verdict(line: dict[str, Any]) -> str:
    """A plain sentence on a difference, ours minus theirs, of a metric of which more is better: a line of the output.

    Who is better is said without reserve only where the interval over groups and the one over runs both leave out 0, on the same side.
    """
    name, value = line["metric"].removesuffix(".delta"), line["value"]
    runs: dict[str, Any] | None = line.get("runs")
    over_groups = None if line["low"] is None else (line["low"], line["high"])
    over_runs = None if runs is None else (runs["low"], runs["high"])
    figures = f"{name} differs by {value:+.4f}"
    figures += f", {interval_text(over_groups)} over groups" if over_groups else ", from one group only"
    if runs is not None and over_runs:
        better = runs["signs"].count("+")
        figures += f", {interval_text(over_runs)} over runs, better in {better} of {len(runs['signs'])}"
    return f"{figures}: {conclusion(value, over_groups, over_runs)}"


def conclusion(value: float, over_groups: tuple[float, float] | None, over_runs: tuple[float, float] | None) -> str:
    """What may be said of a difference with these intervals; None: there is none, as of one group, or of one run."""
    word = "better" if value > 0 else "worse"
    sure_of_groups, sure_of_runs = leaves_out_0(over_groups), leaves_out_0(over_runs)
    if sure_of_groups and sure_of_runs:
        return f"{word}, beyond what the choice of samples and of seeds explains"
    if sure_of_groups and over_runs is None:
        return f"{word} for this pair of models; another seed may say otherwise, so repeat --model and --baseline"
    if sure_of_groups:
        return f"{word} on average of these runs, but other seeds may say otherwise"
    if sure_of_runs:
        return f"{word} on these samples with any seed, but other samples may say otherwise"
    known = [end for interval in (over_groups, over_runs) if interval for end in interval]
    return (
        f"no difference is shown; anything from {min(known):+.4f} to {max(known):+.4f} is possible"
        if known
        else "it says nothing of others"
    )


def leaves_out_0(interval: tuple[float, float] | None) -> bool:
    """Whether there is an interval, and all of it lies on one side of 0."""
    return interval is not None and (interval[0] > 0 or interval[1] < 0)


def interval_text(interval: tuple[float, float]) -> str:
    """An interval in words."""
    return f"[{interval[0]:+.4f}, {interval[1]:+.4f}]"
