"""`htl evaluate`: how well a localizer does on samples it was not fitted to, how sure that is, and for whom."""

from pathlib import Path
from typing import Annotated

from typer import Option

from htltools import console, options
from htltools.errors import DataError, NotMet, UsageError

Models = Annotated[
    list[Path] | None,
    Option("--model", metavar="FILE", help="The model; without it the last one named in the stream. Several: runs.", show_default=False),
]
Predicted = Annotated[
    list[Path] | None,
    Option("--predictions", metavar="JSON", help="COCO results instead of a model; repeat it like --model.", show_default=False),
]
Against = Annotated[
    list[Path] | None,
    Option("--against", metavar="FILE", help="Another model, on the same samples; as many as --model.", show_default=False),
]
GroupBy = Annotated[
    str | None, Option("--group-by", metavar="FIELD[:WIDTH],...", help="Subgroups: sex,age:20, crossed: sex*age:20.", show_default=False)
]
Hard = Annotated[
    list[str] | None, Option("--hard", metavar="COLUMN", help="Who is among the hard by this? Needs no model.", show_default=False)
]
Top = Annotated[float | None, Option("--top", min=0, max=1, help="Share that counts as hard; default 0.3.", show_default=False)]
FailUnder = Annotated[list[str] | None, Option("--fail-under", metavar="NAME=VALUE", help="Exit 3 where it is worse.", show_default=False)]


@options.command
def evaluate(
    run,
    rows: options.Rows = None,
    model: Models = None,
    predictions: Predicted = None,
    against: Against = None,
    coco: options.Numbering = None,
    trust: options.Trust = None,
    split: Annotated[str, Option("--split", metavar="train|val|test", help="The rows to measure on.")] = "test",
    group_by: GroupBy = None,
    hard: Hard = None,
    top: Top = None,
    fail_under: FailUnder = None,
    out: Annotated[Path | None, Option("-o", "--out", help="Write the metrics here, and tables to stdout.", show_default=False)] = None,
    device: options.DeviceName = "auto",
    precision: options.PrecisionName = options.Precision.auto,
    batch_size: options.BatchSize = 256,
    seed: options.Seed = 0,
    nproc: options.Nproc = 1,
    limit: options.Limit = None,
    partial: options.Partial = False,
    force: options.Force = False,
):
    """Measure a localizer, with intervals, by subgroup, and against another one.

    \b
    htl evaluate rows.jsonl --model attended.h5 --against dense.h5 --group-by sex,age:20
    htl evaluate rows.jsonl --model lesion.onnx --fail-under iou_mean=0.8
    htl evaluate rows.jsonl --predictions yolo.json --against dense.h5
    htl evaluate rows.jsonl --model a1.h5 --model a2.h5 --against d1.h5 --against d2.h5    two seeds
    htl evaluate scored.jsonl --split train --hard pruned_loss --top 0.1    who is hard

    A model is a checkpoint or an ONNX file; without --model it is the dense one last named in the stream. Writes one metric a
    line as JSON Lines, without notes, or a table where stdout is a terminal: iou_mean iou_median iou_p10 acc@0.3 acc@0.5
    acc@0.7 acc@0.75 acc@0.9 failure_rate, of a model that answers with masks also dice and mask_iou, by a map also maxboxacc_v2
    and pxap, and with --against the paired differences as NAME.delta. Intervals (95 %) come from 2,000 resamples of whole groups
    (field `group`). Of several runs, --model and --against repeated in pairs, the mean is given, with a second interval over the
    runs: it says what other seeds would.
    With --group-by also the worst level as NAME.worst, and its distance to the best as NAME.gap with a permutation test, of levels of
    30 samples or more. Rows of the split without a box are left out and counted.
    --predictions, and --against too, take COCO results of another tool; they need no store.

    --hard runs no model, unless --model names one: of each level of each field of metadata, or of --group-by, it gives the odds ratio
    of being among the top share by a column of hardness, as it is and adjusted for lesion area, border and label, beside the same
    by the controls loss and random.
    """
    from htltools.core.statistics.subgroups import parsed_fields
    from htltools.formats.rows.schema import SPLITS

    if model and predictions:
        raise UsageError("--model and --predictions exclude each other", "name one of them, and the other with --against")
    model = predictions or model
    limits = thresholds(fail_under or [])
    crossings = parsed_fields(group_by) if group_by is not None else []
    if split not in SPLITS:
        raise UsageError(f"--split takes {', '.join(SPLITS)}, not {split!r}")
    if top is not None and not hard:
        raise UsageError("--top says who is hard: it needs --hard")
    against = against or []
    if against and len(against) != max(len(model or []), 1):
        raise UsageError(f"--model is given {len(model or [])} times and --against {len(against)}", "name them in pairs, one pair a seed")
    measured = not hard or bool(model or against)
    if limits and not measured:
        raise UsageError("--fail-under needs a model, and --hard runs none", "name it with --model")
    if out:
        from htltools.formats.files.atomic import refuse_existing

        refuse_existing(out, force)
    options.rows_expected(rows)

    from htltools.commands.evaluate.lines import write_metrics
    from htltools.commands.shared import next_steps
    from htltools.commands.shared.inputs import groups_of
    from htltools.formats.rows.stream import check_groups
    from htltools.formats.sources.open_rows import read_rows

    everything, reader = read_rows(rows, partial=partial, limit=limit)
    check_groups(everything)
    lines, models, several = [], [], False
    if measured:
        from htltools.commands.evaluate.measure import all_alike, metric_lines
        from htltools.commands.shared.inputs import model_path
        from htltools.commands.shared.machine import Machine

        models, machine = model or [model_path(None, reader, "dense")], Machine(device, precision, batch_size, coco, trust)
        several = all_alike([*models, *against], everything)
    samples, boxless = annotated_rows(everything, split, several)
    if measured:
        lines = metric_lines(samples, models, against, crossings, split, seed, machine)
    if not options.first_process():
        return
    if hard:
        from htltools.commands.evaluate.odds import odds_lines

        lines += odds_lines(samples, hard, 0.3 if top is None else top, crossings, split, seed)
    groups = groups_of(samples)
    write_metrics(lines, out)
    left_out = f", {boxless} without a box left out" if boxless else ""
    console.say(f"{split}: {len(samples)} samples, {len(set(groups))} groups{left_out}; intervals are 95 %, from resampling groups")
    if split == "train" and measured:
        console.say("these are the samples that the model was fitted to: no held-out figure")
    next_steps.after_evaluate(rows, samples, lines, models, against, crossings)
    require(limits, lines)


def thresholds(texts: list[str]) -> dict[str, float]:
    """The limits of `--fail-under NAME=VALUE`, by metric.

    Raises: UsageError.
    """
    from htltools.formats.rows.vocabulary import METRICS

    limits = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in METRICS:
            raise UsageError(f"--fail-under knows no metric {name!r}", f"use one of {', '.join(METRICS)}")
        try:
            limits[name] = float(value)
        except ValueError:
            limits[name] = float("nan")
        if not 0 <= limits[name] <= 1:
            raise UsageError(f"--fail-under takes NAME=VALUE with a value from 0 to 1, not {text!r}")
    return limits


def annotated_rows(rows: list[dict], split: str, or_empty: bool = False) -> tuple[list[dict], int]:
    """The rows of a split that have a box, or with `or_empty` also those known to hold none, repeats counted once, and the number of
    those without.

    Raises: DataError where none has.
    """
    from htltools.commands.shared.inputs import is_annotated, split_rows

    there = [row for row in split_rows(rows, split) if not row.get("repeat")]
    samples = [row for row in there if is_annotated(row, or_empty) and not row.get("pseudo")]
    if not samples:
        splits = sorted({row["split"] for row in rows if row.get("split")})
        cause = f"none of the {len(there)} rows of the split {split} has a box" if there else f"no row is of the split {split}"
        raise DataError(cause, f"the splits there are: {', '.join(splits) or 'none'}")
    return samples, len(there) - len(samples)


def require(limits: dict[str, float], lines: list[dict]) -> None:
    """Raise NotMet where a metric of all samples is worse than its limit."""
    from htltools.core.statistics.iou_metrics import LOWER_IS_BETTER

    values = {line["metric"]: line["value"] for line in lines if line["subgroup"] is None}
    for name, limit in limits.items():
        if name not in values:
            raise UsageError(f"--fail-under {name}: there is no such figure of this model, or without masks in the store")
        lower = name in LOWER_IS_BETTER
        if values[name] > limit if lower else values[name] < limit:
            raise NotMet(f"{name} is {values[name]:g}, {'over' if lower else 'under'} {limit:g} (--fail-under)")
