"""`evaluate --fail-under`: limits of metrics."""

import math
from collections.abc import Sequence
from typing import Any

from htltools.core.statistics.iou_metrics import LOWER_IS_BETTER
from htltools.errors import NotMet, UsageError
from htltools.formats.rows.vocabulary import METRICS


def parsed_limits(texts: Sequence[str]) -> dict[str, float]:
    """The limits NAME=VALUE, by metric.

    Raises: UsageError.
    """
    limits: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in METRICS:
            raise UsageError(f"--fail-under knows no metric {name!r}", f"use one of {', '.join(METRICS)}")
        try:
            limits[name] = float(value)
        except ValueError:
            limits[name] = float("nan")
        if not 0 <= limits[name] <= (math.inf if name == "fp_per_image" else 1):
            raise UsageError(f"--fail-under takes NAME=VALUE with a value from 0 to 1, not {text!r}")
    return limits


def require(limits: dict[str, float], lines: Sequence[dict[str, Any]]) -> None:
    """Raise NotMet where a metric of all samples is worse than its limit; one of single classes for any of these."""
    overall = [line for line in lines if line["subgroup"] is None and "by" not in line and "doubt" not in line]
    for name, limit in limits.items():
        of_name = [line for line in overall if line["metric"] == name]
        if not of_name:
            raise UsageError(f"--fail-under {name}: there is no such figure of this model, or without masks in the store")
        lower = name in LOWER_IS_BETTER
        for line in of_name:
            if line["value"] > limit if lower else line["value"] < limit:
                of_class = f" of class {line['class']}" if "class" in line else ""
                raise NotMet(f"{name}{of_class} is {line['value']:g}, {'over' if lower else 'under'} {limit:g} (--fail-under)")
