"""A threshold of doubt with a promise, for `evaluate`: set on split val and kept with the model, and whether it holds elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from htltools import console
from htltools.commands.evaluate.doubt import Doubts
from htltools.commands.evaluate.lines import metric_line, rounded_number
from htltools.commands.evaluate.measure import Measured
from htltools.core.statistics.cluster_bootstrap import estimates
from htltools.core.statistics.risk_control import ReferralMetrics, controlled_threshold, fewest_groups
from htltools.core.statistics.subgroups import Crossing, subgroups
from htltools.errors import DataError, UsageError
from htltools.formats.rows.provenance import Run, file_digest
from htltools.formats.rows.row import Row
from htltools.formats.rows.spooled import text_array
from htltools.tasks.predictor import CheckpointPredictor, Predictor

ALIKE = "this holds for groups like those of the calibration, and is not known for others, such as those of another clinic"


@dataclass(frozen=True)
class Promise:
    """What a threshold is to keep: the share of samples that fail and are not referred, and the probability (None: in the mean)."""

    max_failure: float
    confidence: float | None
    keep: Path | None  # the checkpoint to write


def set_threshold(
    run: Run, rows: Sequence[Row], measured: Measured, columns: Doubts, promise: Promise, failure_iou: float, split: str
) -> dict[str, Any]:
    """The threshold that keeps a promise, as `schema.Referral`; written into a copy of the model where that is asked for.

    Raises: DataError where no threshold does, or the model is no checkpoint.
    """
    (column, (doubt,)), model = *columns.items(), measured.predictor
    assert model is not None
    fails, groups = np.nan_to_num(measured.samples.iou) < failure_iou, [row.group for row in rows]
    found = controlled_threshold(fails, doubt, groups, promise.max_failure, promise.confidence)
    if found is None:
        count, fewest = len(set(groups)), fewest_groups(promise.max_failure, promise.confidence)
        remedy = f"take {fewest} groups or more" if count < fewest else "the least doubtful samples fail too: raise --max-failure"
        raise DataError(f"no threshold of {column} keeps {promise.max_failure:g} on these {count} groups of split {split}", remedy)
    referral = {
        "column": column,
        "threshold": found.threshold,
        "max_failure": promise.max_failure,
        "failure_iou": failure_iou,
        "confidence": promise.confidence,
        "split": split,
        "groups": found.groups,
        "samples": len(rows),
        "refer_rate": rounded_number(found.refer_rate),
        "unreferred_failure_rate": rounded_number(found.unreferred_failure_rate),
        "models": [model.digest if isinstance(model, CheckpointPredictor) else file_digest(model.path)],
    }
    sure = f"with a confidence of {promise.confidence:g}" if promise.confidence else "in the mean over choices of these groups"
    console.say(
        f"{column} above {found.threshold:g} is referred, {found.refer_rate:.1%} of {split}: of all samples at most "
        f"{promise.max_failure:.1%} fail unreferred, {sure}; {ALIKE}"
    )
    if promise.keep:
        if not isinstance(model, CheckpointPredictor):
            raise DataError(f"{model.path} is no checkpoint, and cannot keep a threshold", "keep it with the checkpoint, and export that")
        model.checkpoint.referral = referral
        model.checkpoint.history = run.chain(model.checkpoint.history, {str(model.path): file_digest(model.path)})
        model.checkpoint.save(promise.keep)
        console.say(f"{promise.keep}: {model.path} with this threshold")
    return referral


def one_model(predictors: Sequence[Predictor], names: Sequence[str]) -> None:
    """Refuse to set a threshold for several models or columns at once.

    Raises: UsageError.
    """
    if len(predictors) != 1 or len(names) != 1:
        raise UsageError("--max-failure sets the threshold of one model, by one column", "name one --model, one --doubt and no --baseline")


def kept_referral(predictors: Sequence[Predictor], columns: Doubts) -> dict[str, Any] | None:
    """The threshold that comes with a single model, where doubt is of its column."""
    model: Any = predictors[0]
    referral = model.referral if len(predictors) == 1 and hasattr(model, "referral") else None
    return referral if referral and referral["column"] in columns else None


def referral_lines(
    rows: Sequence[Row], measured: Measured, columns: Doubts, referral: dict[str, Any], crossings: list[Crossing], split: str, seed: int
) -> list[dict[str, Any]]:
    """How many samples are referred, and how many fail unreferred, of all and by subgroup; `held`: whether that is what was promised."""
    groups, column = text_array(row.group for row in rows), referral["column"]
    fails = np.nan_to_num(measured.samples.iou) < referral["failure_iou"]
    metrics = ReferralMetrics(fails, ~(columns[column][0] <= referral["threshold"]), groups)

    def lines_of(subgroup: dict[str, str] | None, places: np.ndarray) -> list[dict[str, Any]]:
        about = {"split": split, "subgroup": subgroup, "n": len(places)}
        more = {"doubt": column, **{name: referral[name] for name in ("failure_iou", "threshold", "max_failure", "confidence")}}
        found = estimates([metrics.at(places)], groups[places], seed=seed)
        held = {"held": bool(found["unreferred_failure_rate"].value <= referral["max_failure"])}
        return [metric_line(name, about, each) | more | (held if name != "refer_rate" else {}) for name, each in found.items()]

    lines = lines_of(None, np.arange(len(rows)))
    for crossing in crossings:
        for subgroup, places in subgroups(rows, crossing):
            lines += lines_of(subgroup, places)
    return lines


def promise_text(lines: Sequence[dict[str, Any]]) -> str:
    """Whether the promise held, in a sentence, by the lines of `referral_lines`."""
    whole = {line["metric"]: line for line in lines if line["subgroup"] is None}
    line, rate = whole["unreferred_failure_rate"], whole["refer_rate"]["value"]
    interval = "" if line["low"] is None else f" [{line['low']:.1%}, {line['high']:.1%}]"
    verdict = "held" if line["held"] else "did not hold" if line["low"] is not None and line["low"] > line["max_failure"] else "was missed"
    parts = [each for each in lines if each["subgroup"] and each["metric"] == "unreferred_failure_rate" and not each["held"]]
    names = ", ".join(" ".join(map(" ".join, each["subgroup"].items())) for each in parts)
    others = f"; more than that of {names}: it was made for all together" if parts else ""
    return (
        f"the promise of at most {line['max_failure']:.1%} unreferred failures {verdict} on {line['split']}: "
        f"{line['value']:.1%}{interval}, {rate:.1%} referred{others}; {ALIKE}"
    )
