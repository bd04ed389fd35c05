"""`htl evaluate`: how well a localizer does on samples it was not fitted to, how sure that is, and for whom."""

from pathlib import Path
from typing import Annotated

from typer import Option

from htltools import console, options
from htltools.errors import DataError, NotMet, UsageError

Predicted = Annotated[Path | None, Option("--predictions", metavar="JSON", help="COCO results instead of a model.", show_default=False)]
Against = Annotated[Path | None, Option("--against", help="Another model, compared on the same samples.", show_default=False)]
GroupBy = Annotated[str | None, Option("--group-by", metavar="FIELD[:WIDTH],...", help="Subgroups: sex,age:20,site.", show_default=False)]
FailUnder = Annotated[list[str] | None, Option("--fail-under", metavar="NAME=VALUE", help="Exit 3 where it is worse.", show_default=False)]


@options.command
def evaluate(
    run,
    rows: options.Rows = None,
    model: options.Model = None,
    predictions: Predicted = None,
    against: Against = None,
    coco: options.Numbering = None,
    trust: options.Trust = None,
    split: Annotated[str, Option("--split", metavar="train|val|test", help="The rows to measure on.")] = "test",
    group_by: GroupBy = None,
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

    A model is a checkpoint or an ONNX file; without --model it is the dense one last named in the stream. Writes one metric a
    line as JSON Lines, without notes, or a table where stdout is a terminal: iou_mean iou_median iou_p10 acc@0.3 acc@0.5
    acc@0.7 acc@0.75 acc@0.9 failure_rate, of a model that answers by a map also maxboxacc_v2 and pxap, and with --against the
    paired differences as NAME.delta. Intervals (95 %) come from 2,000 resamples of whole groups (field `group`); they say nothing
    of other training seeds. Rows of the split without a box are left out and counted.
    --predictions, and --against too, take COCO results of another tool; they need no store.
    """
    from htltools.core.subgroups import parsed_fields, subgroups
    from htltools.formats.schema import SPLITS

    if model and predictions:
        raise UsageError("--model and --predictions exclude each other", "name one of them, and the other with --against")
    model = predictions or model
    limits = thresholds(fail_under or [])
    fields = parsed_fields(group_by) if group_by is not None else []
    if split not in SPLITS:
        raise UsageError(f"--split takes {', '.join(SPLITS)}, not {split!r}")
    if out:
        from htltools.formats.atomic import refuse_existing

        refuse_existing(out, force)
    options.rows_expected(rows)

    import numpy as np

    from htltools.commands._inputs import model_path, target_boxes
    from htltools.commands._map_metrics import map_metrics
    from htltools.commands._metric_lines import metric_line, write_metrics
    from htltools.core.bootstrap import Estimate, estimates
    from htltools.core.boxes import iou
    from htltools.formats.stream import check_groups, read_rows

    everything, reader = read_rows(rows, partial=partial, limit=limit)
    check_groups(everything)
    samples, boxless = annotated_rows(everything, split)
    annotated = target_boxes(samples)
    paths = [model_path(model, reader, "dense"), *([against] if against else [])]
    ious = [iou(predicted_boxes(path, samples, device, precision, batch_size, coco, trust), annotated) for path in paths]

    if not options.first_process():
        return
    groups = np.array([row.get("group") or row["id"] for row in samples])
    everyone = np.arange(len(samples))
    parts = [(None, everyone)] + [({f.name: level}, places) for f in fields for level, places in subgroups(samples, f).items()]
    lines = []
    for subgroup, places in parts:
        found = estimates(ious[0][places], groups[places], ious[1][places] if against else None, seed=seed)
        about = {"split": split, "subgroup": subgroup, "n": len(places)}
        lines += [metric_line(name, about, estimate, against) for name, estimate in found.items()]
        if subgroup is None:
            found = map_metrics(paths[0], samples, annotated, device, precision, batch_size, options.names_trusted(trust))
            lines += [metric_line(name, about, Estimate(value, None, None), None) for name, value in found.items()]
    write_metrics(lines, out)
    left_out = f", {boxless} without a box left out" if boxless else ""
    console.say(f"{split}: {len(samples)} samples, {len(set(groups))} groups{left_out}; intervals are 95 %, from resampling groups")
    if split == "train":
        console.say("these are the samples that the model was fitted to: no held-out figure")
    require(limits, lines)


def thresholds(texts: list[str]) -> dict[str, float]:
    """The limits of `--fail-under NAME=VALUE`, by metric.

    Raises: UsageError.
    """
    from htltools.formats.schema import METRICS

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


def annotated_rows(rows: list[dict], split: str) -> tuple[list[dict], int]:
    """The rows of a split that have a box, repeats counted once, and the number of those without.

    Raises: DataError where none has.
    """
    from htltools.commands._inputs import is_annotated, split_rows

    there = [row for row in split_rows(rows, split) if not row.get("repeat")]
    samples = [row for row in there if is_annotated(row) and not row.get("pseudo")]
    if not samples:
        splits = sorted({row["split"] for row in rows if row.get("split")})
        cause = f"none of the {len(there)} rows of the split {split} has a box" if there else f"no row is of the split {split}"
        raise DataError(cause, f"the splits there are: {', '.join(splits) or 'none'}")
    return samples, len(there) - len(samples)


def predicted_boxes(path: Path, rows: list[dict], device: str, precision: str, batch_size: int, coco: Path | None, trust: str | None):
    """The box that a checkpoint, an ONNX file or COCO results answer with for each row: float32 [N, 4], shares of the sides.

    Where results have none it is a box without area, which overlaps with nothing.
    """
    import numpy as np

    from htltools.commands._inputs import chosen_machine, load_localizer, matching_pictures
    from htltools.formats.coco_results import is_json
    from htltools.formats.onnx_file import OnnxLocalizer, is_onnx

    if is_json(path):
        from htltools.commands._predictions import told_boxes

        return told_boxes(path, rows, coco)
    if is_onnx(path):
        net = OnnxLocalizer(path, device)
        pictures = matching_pictures(rows, net.size, path)
        starts = range(0, len(rows), batch_size)
        return np.concatenate([net.answer(pictures.batch(np.arange(i, min(i + batch_size, len(rows))))) for i in starts])
    from htltools.core.answers import all_answers

    where, dtype = chosen_machine(device, precision)
    localizer, checkpoint = load_localizer(path, where, options.names_trusted(trust))
    pictures = matching_pictures(rows, checkpoint.preprocessing["size"], path)
    return all_answers([localizer], pictures, batch_size, device=where, dtype=dtype)[0]


def require(limits: dict[str, float], lines: list[dict]) -> None:
    """Raise NotMet where a metric of all samples is worse than its limit."""
    from htltools.core.metrics import LOWER_IS_BETTER

    values = {line["metric"]: line["value"] for line in lines if line["subgroup"] is None}
    for name, limit in limits.items():
        if name not in values:
            raise UsageError(f"--fail-under {name}: there is no such figure of this model, or without masks in the store")
        lower = name in LOWER_IS_BETTER
        if values[name] > limit if lower else values[name] < limit:
            raise NotMet(f"{name} is {values[name]:g}, {'over' if lower else 'under'} {limit:g} (--fail-under)")
