"""`htl score`: rows and both models in, rows with hardness out."""

from pathlib import Path
from typing import Annotated

from htltools import options
from htltools.errors import UsageError

ALSO = (
    "grand",
    "dropout_disagreement",
    "mirror_disagreement",
    "look_disagreement",
    "soft_dice_doubt",
)  # columns that are computed only when asked for


@options.command
def score(
    run,
    rows: options.Rows = None,
    model: Annotated[
        list[Path] | None, options.in_model("--model", metavar="FILE", help="A dense model; repeat it for several.", show_default=False)
    ] = None,
    pruned: Annotated[
        list[Path] | None, options.in_model("--pruned", metavar="FILE", help="A pruned model; repeat it for several.", show_default=False)
    ] = None,
    predictions: Annotated[
        tuple[Path, Path] | None,
        options.in_model("--predictions", metavar="DENSE PRUNED", help="COCO results of both, instead of models.", show_default=False),
    ] = None,
    coco: options.Numbering = None,
    objects: options.Objects = None,
    also: Annotated[
        str | None,
        options.in_output(
            "--also", metavar="COLUMN,...", help="Columns that take longer: mirror_disagreement, grand, ...", show_default=False
        ),
    ] = None,
    trust: options.Trust = None,
    stability: Annotated[bool, options.in_output("--stability", help="Tell on stderr how alike several models rank the rows.")] = False,
    batch_size: options.BatchSize = 256,
    seed: options.Seed = 0,
    device: options.DeviceName = "auto",
    precision: options.PrecisionName = options.Precision.auto,
    nproc: options.Nproc = 1,
    ray: options.RayAddress = None,
    ids: options.Ids = None,
    not_ids: options.NotIds = None,
    limit: options.Limit = None,
    part: options.PartText = None,
    partial: options.Partial = False,
):
    """Score how hard each sample is to learn: how much it depends on the weights that were cut.

    \b
    htl prune rows.jsonl --model dense.h5 -o pruned.h5 | htl score > scored.jsonl
    htl score rows.jsonl --model dense.h5 --pruned p70.h5 --pruned p80.h5 --pruned p90.h5
    htl score rows.jsonl --predictions dense.json pruned.json

    Writes the rows again with `hardness` (higher = harder in every column) and `predicted` boxes:

    \b
    pruned_loss   box loss of the pruned model
    pruned_disagreement  1 - IoU of dense and pruned box; needs no annotation; also measures smallness
    pruned_shift  distance of their edges; needs no annotation
    iou_drop, loss_gap  what pruning cost
    suspect       is the annotation wrong? resample --drop-by suspect drops such rows
    pie           share of several pruned models that are right where the dense one is wrong, or the reverse
    loss, el2n, smallness, random  controls that do not prune
    seed_disagreement  of several dense models, a control too; needs no annotation
    grand         norm of each sample's gradient, a control too; only with --also grand
    dropout_disagreement  under dropout, a control too; needs no annotation; only with --also dropout_disagreement
    mirror_disagreement   of mirror images; look_disagreement of looks; soft_dice_doubt of masks: doubt without annotation; only with --also

    Of models that predict lesion masks the masks are compared, and pruned_shift is that of their boxes.
    Without a pruned model the columns that need one are left out. With several models every column is the mean over them; with
    models of htl train --fold, a training row is scored only by those that have not seen its group. --stability tells how alike the
    models rank the rows, by column.
    --predictions takes predictions of another tool: COCO results, by image_id. Then no image is read, and no store needed.
    With --part 2/8 only the rows of an eighth of the groups are scored; htl join puts the parts together, and refuses missing ones.
    Rows of models go out batch by batch while others come in, so any number of them fits in memory. With --ray the models run on a
    Ray cluster.
    """
    options.rows_expected(rows)
    from htltools.commands.score.write import score_rows
    from htltools.commands.shared.chosen_rows import ChosenRows
    from htltools.commands.shared.columns import column_named
    from htltools.commands.shared.parts import parsed_part
    from htltools.commands.shared.ray_connection import ray_cluster
    from htltools.core.runtime.runtime import Runtime

    columns = [column_named(name, ALSO, "--also") for name in also.split(",")] if also else []
    if predictions:
        model, pruned = [predictions[0], *(model or [])], [predictions[1], *(pruned or [])]
    if stability and max(len(model or []), len(pruned or [])) < 2:
        raise UsageError("--stability compares models: name two or more with --model or --pruned")
    if part and (predictions or stability):
        cause = "--predictions are matched with all rows" if predictions else "--stability compares all rows"
        raise UsageError(f"{cause}: they do not go with --part" if predictions else f"{cause}: it does not go with --part")
    runtime = Runtime("cpu" if ray else device, str(precision), batch_size, seed, options.trusted_names(trust))
    with ray_cluster(ray, device) as cluster:
        score_rows(
            run,
            rows,
            model,
            pruned,
            coco,
            objects,
            columns,
            runtime,
            results=bool(predictions),
            stability=stability,
            chosen=ChosenRows(ids, not_ids, run),
            limit=limit,
            part=parsed_part(part),
            partial=partial,
            cluster=cluster,
        )
