"""`htl score`: rows and both models in, rows with hardness out."""

from pathlib import Path
from typing import Annotated

from typer import Option

from htltools import console, options


@options.command
def score(
    run,
    rows: options.Rows = None,
    model: options.Model = None,
    pruned: Annotated[
        list[Path] | None, Option("--pruned", help="A pruned model; repeat it for the mean over several.", show_default=False)
    ] = None,
    batch_size: options.BatchSize = 256,
    seed: options.Seed = 0,
    device: options.DeviceName = "auto",
    precision: options.PrecisionName = options.Precision.auto,
    limit: options.Limit = None,
    partial: options.Partial = False,
):
    """Score how hard each sample is to learn: how much it depends on the weights that were cut.

    \b
    htl prune rows.jsonl --model dense.h5 -o pruned.h5 | htl score > scored.jsonl
    htl score rows.jsonl --model dense.h5 --pruned p70.h5 --pruned p80.h5 --pruned p90.h5

    Writes the rows again with `hardness` (higher = harder in every column) and `predicted` boxes:

    \b
    pruned_loss   box loss of the pruned model
    drift, shift  disagreement of dense and pruned box; need no annotation (drift also measures smallness)
    iou_drop, loss_gap  what pruning cost
    loss, area, random  controls that do not prune
    """
    options.rows_expected(rows)
    from htltools.formats.provenance import file_digest
    from htltools.formats.stream import RowWriter, read_rows

    samples, reader = read_rows(rows, partial=partial, limit=limit)
    from htltools.commands import _inputs
    from htltools.core.answers import all_answers
    from htltools.core.controls import chance
    from htltools.core.hardness import scores
    from htltools.core.localizer import pixel_boxes

    place, dtype = _inputs.chosen_machine(device, precision)
    paths = [_inputs.model_path(model, reader, "dense"), *(pruned or [_inputs.model_path(None, reader, "pruned", "--pruned")])]
    models, checkpoints = zip(*(_inputs.load_localizer(path, place) for path in paths))
    pictures = [_inputs.matching_pictures(samples, checkpoint.preprocessing["size"], path) for checkpoint, path in zip(checkpoints, paths)][
        0
    ]
    sizes, targets = _inputs.picture_sizes(samples), _inputs.target_boxes(samples)
    with console.progress("scoring", len(samples)) as steps:
        pieces = _inputs.CountedPictures(pictures, steps)
        boxes = all_answers(models, pieces, batch_size, device=place, dtype=dtype)
    columns = scores(boxes[0], boxes[1:], targets) | {"random": chance([row["id"] for row in samples], seed)}
    predicted = {"dense": pixel_boxes(boxes[0], sizes), "pruned": pixel_boxes(boxes[1:].mean(0), sizes)}
    history = run.chain(reader.history, {str(path): file_digest(path) for path in paths}, device=str(place))
    with RowWriter(run, history, skipped=reader.skipped) as writer:
        writer.models(reader.models | {"dense": str(paths[0].absolute()), "pruned": str(paths[-1].absolute())})
        writer.write(_inputs.with_scores(samples, columns, predicted))
