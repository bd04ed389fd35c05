"""`evaluate` from rows to metrics."""

from pathlib import Path

from htltools import console
from htltools.commands.evaluate.conclusion import verdict
from htltools.commands.evaluate.curve import refuse_without_scores, write_curves
from htltools.commands.evaluate.doubt import doubt_lines, doubts
from htltools.commands.evaluate.limits import require
from htltools.commands.evaluate.lines import write_metrics
from htltools.commands.evaluate.measure import measured, measured_rows, metric_lines, open_predictors
from htltools.commands.evaluate.odds import odds_lines
from htltools.commands.evaluate.referral import Promise, kept_referral, one_model, promise_text, referral_lines, set_threshold
from htltools.commands.shared import next_steps
from htltools.commands.shared.chosen_rows import ChosenRows, read_many_chosen
from htltools.commands.shared.models import explain_runtime, model_path
from htltools.core.runtime.runtime import Runtime
from htltools.core.statistics.subgroups import Crossing
from htltools.formats.rows.provenance import Run
from htltools.formats.rows.stream import check_groups, check_predictions
from htltools.processes import first_process
from htltools.tasks.rows import reasons_aside


def write_evaluation(
    run: Run,
    source: Path | None,
    models: list[Path],
    baselines: list[Path],
    hard: list[str],
    top: float,
    crossings: list[Crossing],
    split: str,
    limits: dict[str, float],
    out: Path | None,
    runtime: Runtime,
    coco: Path | None,
    objects: bool | None,
    threshold: float | None,
    curve: Path | None,
    doubt: list[str],
    failure_iou: float,
    promise: Promise | None,
    *,
    chosen: ChosenRows,
    limit: int | None,
    partial: bool,
) -> None:
    """Measure models on the rows of a split and write the metrics; with `hard`, say who is hard. No model is run for that alone.
    With columns of `doubt`, measure whether these tell which predictions fail, and with a `promise` set a threshold.

    Raises: NotMet where a limit is not met, once all is written.
    """
    everything, reader = read_many_chosen(source, chosen, partial=partial, limit=limit)
    check_groups(everything)
    check_predictions(everything)
    lines, predictors = [], []
    measures = not hard or bool(models or baselines or doubt)
    if measures:
        models = models or [model_path(None, reader, "dense")]
        explain_runtime(runtime, [*models, *baselines])
        predictors = open_predictors([*models, *baselines], everything, runtime, coco, objects)
    if threshold is not None:
        refuse_without_scores(predictors, "--threshold")
        for predictor in predictors:
            predictor.use_threshold(threshold)
    if curve:
        refuse_without_scores(predictors, "--curve")
    is_annotated = predictors[0].task.is_annotated if predictors else lambda row: row.is_annotated
    samples, others = measured_rows(everything, split, is_annotated)
    if promise:
        one_model(predictors, doubt)
    results = [measured(predictor, samples) for predictor in predictors]
    columns = doubts(samples, doubt, predictors[: len(models)], runtime)
    for note in (note for predictor in predictors for note in predictor.notes()):
        console.say(note)
    ours, theirs = results[: len(models)], results[len(models) :]
    if not first_process():
        return
    if measures:
        lines = metric_lines(samples, ours, theirs, crossings, split, runtime.seed)
        if theirs:
            console.say(verdict(next(line for line in lines if line["metric"] == "iou_mean.delta")))
    if columns:
        lines += doubt_lines(samples, ours, columns, failure_iou, crossings, split, runtime.seed)
        kept = set_threshold(run, samples, ours[0], columns, promise, failure_iou, split) if promise else None
        if referral := kept or kept_referral(predictors, columns):
            promised = referral_lines(samples, ours[0], columns, referral, crossings, split, runtime.seed)
            lines += promised
            if not kept:
                console.say(promise_text(promised))
    if hard:
        odds, notes = odds_lines(samples, hard, top, crossings, split, runtime.seed)
        lines += odds
        for note in notes:
            console.say(note)
    if curve:
        write_curves(curve, results)
    write_metrics(lines, out)
    left_out = f", {len(others)} left out ({reasons_aside(others)})" if others else ""
    groups = {row.group for row in samples}
    console.say(f"{split}: {len(samples)} samples, {len(groups)} groups{left_out}; intervals are 95 %, from resampling groups")
    for predictor in predictors if measures and threshold is None else ():
        if predictor.task.kind == "objects":
            console.say(f"{predictor.path}: objects count from a score of {predictor.threshold:.4g} on, {predictor.threshold_origin}")
    fitted = {"train": "these are", "all": "these include"}
    if split in fitted and measures:
        console.say(f"{fitted[split]} the samples that the model was fitted to: no held-out figure")
    dense = models[0] if models else Path(reader.models["dense"]) if "dense" in reader.models else None
    next_steps.after_evaluate(source, samples, lines, models, baselines, crossings, dense)
    require(limits, lines)
