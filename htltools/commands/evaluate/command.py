"""`htl evaluate`: how well a localizer does on samples it was not fitted to, how sure that is, and for whom."""

from pathlib import Path
from typing import Annotated

from htltools import options
from htltools.errors import UsageError

Models = Annotated[
    list[Path] | None,
    options.in_model(
        "--model", metavar="FILE", help="The model; without it the last one named in the stream. Several: runs.", show_default=False
    ),
]
Predicted = Annotated[
    list[Path] | None,
    options.in_model("--predictions", metavar="JSON", help="COCO results instead of a model; repeat it like --model.", show_default=False),
]
GroupBy = Annotated[
    str | None,
    options.in_data("--group-by", metavar="FIELD[:WIDTH],...", help="Subgroups: sex,age:20, crossed: sex*age:20.", show_default=False),
]
Hard = Annotated[
    list[str] | None, options.in_data("--hard", metavar="COLUMN", help="Who is among the hard by this? Needs no model.", show_default=False)
]
Top = Annotated[float | None, options.in_data("--top", min=0, max=1, help="Share that counts as hard; default 0.3.", show_default=False)]
Doubt = Annotated[
    list[str] | None,
    options.in_data("--doubt", metavar="COLUMN", help="Does this doubt tell failures? Repeat it to compare.", show_default=False),
]
FailureIou = Annotated[float, options.in_data("--failure-iou", metavar="IOU", min=0, max=1, help="IoU below which a prediction fails.")]
MaxFailure = Annotated[
    float | None,
    options.in_data("--max-failure", metavar="SHARE", help="Set a threshold of doubt that keeps this.", show_default=False),
]
Confidence = Annotated[
    float, options.in_data("--confidence", metavar="SHARE", min=0, max=0.999999, help="Of --max-failure; 0: in the mean.")
]
Threshold = Annotated[
    float | None,
    options.in_model("--threshold", min=0, max=1, help="Score from which on an object counts [the model's own].", show_default=False),
]
Curve = Annotated[
    Path | None,
    options.in_output("--curve", metavar="FILE", help="Write precision and recall by score: .csv, .jsonl.", show_default=False),
]
KeepThreshold = Annotated[
    Path | None,
    options.in_output("--keep-threshold", metavar="M.h5", help="Write the model with its threshold.", show_default=False),
]
FailUnder = Annotated[
    list[str] | None, options.in_output("--fail-under", metavar="NAME=VALUE", help="Exit 3 where it is worse.", show_default=False)
]


@options.command
def evaluate(
    run,
    rows: options.Rows = None,
    model: Models = None,
    predictions: Predicted = None,
    baseline: options.Baseline = None,
    coco: options.Numbering = None,
    objects: options.Objects = None,
    threshold: Threshold = None,
    trust: options.Trust = None,
    split: Annotated[str, options.in_data("--split", metavar="train|val|test|all", help="The rows to measure on.")] = "test",
    group_by: GroupBy = None,
    hard: Hard = None,
    top: Top = None,
    doubt: Doubt = None,
    failure_iou: FailureIou = 0.5,
    max_failure: MaxFailure = None,
    confidence: Confidence = 0.95,
    fail_under: FailUnder = None,
    keep_threshold: KeepThreshold = None,
    curve: Curve = None,
    out: Annotated[
        Path | None, options.in_output("-o", "--out", help="Write the metrics here, and tables to stdout.", show_default=False)
    ] = None,
    device: options.DeviceName = "auto",
    precision: options.PrecisionName = options.Precision.auto,
    batch_size: options.BatchSize = 256,
    seed: options.Seed = 0,
    nproc: options.Nproc = 1,
    ids: options.Ids = None,
    not_ids: options.NotIds = None,
    limit: options.Limit = None,
    partial: options.Partial = False,
    force: options.Force = False,
):
    """Measure a localizer, with intervals, by subgroup, and against another one.

    \b
    htl evaluate rows.jsonl --model attended.h5 --baseline dense.h5 --group-by sex,age:20
    htl evaluate rows.jsonl --model lesion.onnx --fail-under iou_mean=0.8
    htl evaluate rows.jsonl --predictions yolo.json --baseline dense.h5
    htl evaluate rows.jsonl --model a1.h5 --model a2.h5 --baseline d1.h5 --baseline d2.h5    two seeds
    htl evaluate scored.jsonl --split train --hard pruned_loss --top 0.1    who is hard
    htl evaluate rows.jsonl --model dense.h5 --doubt mirror_disagreement --doubt smallness    which predictions to doubt
    htl evaluate rows.jsonl --model dense.h5 --doubt mirror_disagreement --split val --max-failure 0.05 --keep-threshold kept.h5

    A model is a checkpoint or an ONNX file; without --model it is the dense one last named in the stream. Writes one metric a
    line as JSON Lines, without notes, or a table where stdout is a terminal: iou_mean iou_median iou_p10 acc@0.3 acc@0.5
    acc@0.7 acc@0.75 acc@0.9 failure_rate, of a model that predicts masks also dice mask_iou hd95 assd boundary_iou, by a map maxboxacc_v2
    and pxap, of several objects ap, precision, recall, f1, FROC, and the same by class; with --baseline the paired differences as
    NAME.delta. Intervals (95 %) come from 2,000 resamples of whole groups (field `group`).
    Of several runs, --model and --baseline repeated in pairs, the mean is given, with a second interval over the
    runs: it says what other seeds would.
    With --group-by also the worst level as NAME.worst, and its distance to the best as NAME.gap with a permutation test, of levels of
    30 samples or more. Rows of the split that are not annotated are left out and counted.
    --predictions, and --baseline too, take COCO results of another tool; they need no store.

    --hard runs no model, unless --model names one: of each level of each field of metadata, or of --group-by, it gives the odds ratio
    of being among the top share by a column of hardness, as it is and adjusted for lesion area, border and label, beside the same
    by the controls loss and random.

    --doubt measures whether a column of hardness, of the rows or computed (mirror_disagreement, look_disagreement, soft_dice_doubt,
    seed_disagreement), tells which predictions fail: aurc, e_aurc, failure_auroc, and mean IoU and failures among the 95, 90, 80 and
    70 % least doubtful, beside a random and the ideal order. --max-failure sets the threshold above which htl predict refers a sample,
    so that of all samples at most this share fail unreferred; on another split, a model with a threshold tells whether that held.
    """
    from htltools.commands.evaluate.limits import parsed_limits
    from htltools.core.runtime.runtime import Runtime
    from htltools.core.statistics.subgroups import parsed_fields
    from htltools.formats.files.atomic import refuse_existing

    if model and predictions:
        raise UsageError("--model and --predictions exclude each other", "name one of them, and the other with --baseline")
    models, baselines = model or predictions or [], baseline or []
    split = options.split_named(split)
    if top is not None and not hard:
        raise UsageError("--top says who is hard: it needs --hard")
    if baselines and len(baselines) != max(len(models), 1):
        raise UsageError(f"--model is given {len(models)} times and --baseline {len(baselines)}", "name them in pairs, one pair a seed")
    limits, crossings = parsed_limits(fail_under or []), parsed_fields(group_by) if group_by is not None else []
    if limits and hard and not (models or baselines):
        raise UsageError("--fail-under needs a model, and --hard runs none", "name it with --model")
    if (max_failure is not None or keep_threshold) and not (doubt and max_failure is not None):
        raise UsageError("--max-failure and --keep-threshold set a threshold of doubt", "give --doubt COLUMN and --max-failure SHARE")
    if max_failure is not None and not (0 < max_failure < 1 and split == "val"):
        raise UsageError("--max-failure takes a share between 0 and 1, and --split val", "other splits tell whether it holds")
    if curve and curve.suffix not in (".csv", ".jsonl"):
        raise UsageError(f"--curve writes .csv or .jsonl, not {curve.name!r}", "name a file that ends so")
    for path in filter(None, (out, keep_threshold, curve)):
        refuse_existing(path, force)
    options.rows_expected(rows)
    from htltools.commands.evaluate.referral import Promise
    from htltools.commands.evaluate.write import write_evaluation
    from htltools.commands.shared.chosen_rows import ChosenRows

    runtime = Runtime(device, str(precision), batch_size, seed, options.trusted_names(trust))
    top = 0.3 if top is None else top
    write_evaluation(
        run,
        rows,
        models,
        baselines,
        hard or [],
        top,
        crossings,
        split,
        limits,
        out,
        runtime,
        coco,
        objects,
        threshold,
        curve,
        doubt or [],
        failure_iou,
        None if max_failure is None else Promise(max_failure, confidence or None, keep_threshold),
        chosen=ChosenRows(ids, not_ids, run),
        limit=limit,
        partial=partial,
    )
