"""`htl report`: scored rows and their models in, one page of HTML out."""

from pathlib import Path
from typing import Annotated

from htltools import options


@options.command
def report(
    run,
    rows: options.Rows = None,
    *,
    out: Annotated[Path, options.in_output("-o", "--out", metavar="R.html", help="The page to write.", show_default=False)],
    model: Annotated[
        list[Path] | None,
        options.in_model("--model", metavar="FILE", help="Score anew with this dense model; repeat it.", show_default=False),
    ] = None,
    pruned: Annotated[
        list[Path] | None,
        options.in_model("--pruned", metavar="FILE", help="Score anew with this pruned model; repeat it.", show_default=False),
    ] = None,
    attended: Annotated[
        Path | None, options.in_model("--attended", metavar="FILE", help="A model that attended.", show_default=False)
    ] = None,
    trust: options.Trust = None,
    by: Annotated[str, options.in_data("--by", metavar="COLUMN", help="The hardness that the page is about.")] = "pruned_loss",
    split: Annotated[str, options.in_data("--split", metavar="train|val|test", help="The rows to measure on.")] = "test",
    group_by: Annotated[
        str | None, options.in_data("--group-by", metavar="FIELD[:WIDTH],...", help="Subgroups: sex,age:20,site.", show_default=False)
    ] = None,
    gallery: Annotated[int, options.in_output("--gallery", metavar="N", min=1, max=2000, help="Images in the gallery.")] = 200,
    large: Annotated[
        int, options.in_output("--large", metavar="N", min=0, max=4096, help="Pixels of an original on a click; 0 = none.")
    ] = 640,
    crop: Annotated[
        float | None,
        options.in_output(
            "--crop", metavar="X", min=1, help="Show X times the sides of the boxes of it; default: all of it.", show_default=False
        ),
    ] = None,
    originals: Annotated[
        Path | None, options.in_output("--originals", metavar="DIR", help="Folder of the images by now.", show_default=False)
    ] = None,
    meta: Annotated[bool, options.in_output("--meta/--no-meta", help="Show meta, label and group of each image.")] = True,
    batch_size: options.BatchSize = 256,
    seed: options.Seed = 0,
    device: options.DeviceName = "auto",
    precision: options.PrecisionName = options.Precision.auto,
    ids: options.Ids = None,
    not_ids: options.NotIds = None,
    limit: options.Limit = None,
    partial: options.Partial = False,
    force: options.Force = False,
):
    """Write one page of HTML: metrics, plots, and a gallery of the hardest samples.

    \b
    htl score rows.jsonl --model dense.h5 --pruned pruned.h5 | htl report -o report.html
    htl report scored.jsonl --attended attended.h5 --group-by sex,age:20 -o report.html
    htl report rows.jsonl --model d0.h5 --model d1.h5 --pruned p0.h5 --pruned p1.h5 -o report.html

    The page needs no network and nothing beside it. Metrics come with intervals, overall and by subgroup; there are the
    training curves and the sweep of the health gate of the models that the rows name, how hardness is spread, and images with
    annotated, dense and pruned box to sort and filter: the hardest, the suspects, and with --attended what attention gained
    and lost. Rows without scores, or with --model or --pruned, are scored first; several models tell how reliable hardness is.
    --no-meta leaves out meta, label and group of each image; ids and images stay.
    """
    options.rows_expected(rows)
    from htltools.commands.report.originals import LargeImages
    from htltools.commands.report.write import write_report
    from htltools.commands.shared.chosen_rows import ChosenRows
    from htltools.core.runtime.runtime import Runtime
    from htltools.core.statistics.subgroups import parsed_fields
    from htltools.formats.files.atomic import refuse_existing

    split = options.split_named(split, every=False)
    fields = parsed_fields(group_by) if group_by is not None else None
    refuse_existing(out, force)
    runtime = Runtime(device, str(precision), batch_size, seed, options.trusted_names(trust))
    chosen = ChosenRows(ids, not_ids, run)
    write_report(
        *(
            run,
            rows,
            out,
            model or [],
            pruned or [],
            attended,
            by,
            split,
            fields,
            gallery,
            meta,
            runtime,
            LargeImages(large, crop, originals),
        ),
        chosen=chosen,
        limit=limit,
        partial=partial,
    )
