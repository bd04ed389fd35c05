"""`htl resample`: hardness into training weights, repeats or a selection."""

from pathlib import Path
from typing import Annotated

from htltools import console, options


class Mode(options.Choice):
    """What hardness becomes."""

    weight, repeat, select = "weight", "repeat", "select"


By = Annotated[
    str | None,
    options.in_attention(
        "--by",
        metavar="COLUMN",
        help="The hardness to go by; default pruned_loss; random and smallness need no scores.",
        show_default=False,
    ),
]
Top = Annotated[
    float | None,
    options.in_attention("--top", min=0, max=1, help="Share of the training rows that counts as hard; default 0.3.", show_default=False),
]
Where = Annotated[
    list[str] | None,
    options.in_attention(
        "--where",
        metavar="FIELD=VALUE",
        help="Rows that meet this are hard, instead of --by and --top; repeat it for and.",
        show_default=False,
    ),
]
Boost = Annotated[float, options.in_attention("--boost", min=-1, help="Extra weight, or copies, of the hard ones; -1 leaves them out.")]
Soft = Annotated[bool, options.in_attention("--soft", help="Weights grow evenly with rank; no top share.")]
ModeName = Annotated[Mode, options.in_attention("--mode", help="Weights, copies of the hard rows, or only the hard rows.")]
Pseudo = Annotated[bool, options.in_data("--pseudo", help="Training rows without a box get the mean of their predicted ones.")]
Share = Annotated[
    float | None,
    options.in_data("--share", min=0, max=1, help="select: make the hard ones this share of all that stay.", show_default=False),
]
Count = Annotated[int | None, options.in_data("--count", metavar="N", min=1, help="select: how many rows stay.", show_default=False)]
Unlabelled = Annotated[bool, options.in_data("--unlabelled", help="select: from training rows without a box; only they are written.")]
DropTop = Annotated[float, options.in_data("--drop-top", min=0, max=1, help="First drop this share, the hardest: suspects.")]
DropBy = Annotated[
    str | None, options.in_data("--drop-by", metavar="COLUMN", help="What --drop-top goes by; default: --by.", show_default=False)
]
CorrectionFile = Annotated[
    Path | None,
    options.in_data("--corrections", metavar="FILE", help="A review that comes back: its boxes replace those of rows.", show_default=False),
]
Mark = Annotated[
    str | None, options.in_output("--mark", metavar="NAME", help="Write yes or no into meta of every row: is it hard?", show_default=False)
]


@options.command
def resample(
    run,
    rows: options.Rows = None,
    by: By = None,
    top: Top = None,
    where: Where = None,
    pseudo: Pseudo = False,
    boost: Boost = 0.0,
    soft: Soft = False,
    mode: ModeName = Mode.weight,
    share: Share = None,
    count: Count = None,
    unlabelled: Unlabelled = False,
    mark: Mark = None,
    drop_top: DropTop = 0.0,
    drop_by: DropBy = None,
    seed: options.Seed = 0,
    corrections: CorrectionFile = None,
    ids: options.Ids = None,
    not_ids: options.NotIds = None,
    limit: options.Limit = None,
    partial: options.Partial = False,
):
    """Turn hardness into training weights, repeats or a selection; weights stay 1 unless --boost asks for others.

    \b
    htl score rows.jsonl | htl resample --drop-top 0.05 --drop-by suspect | htl train -o clean.h5    without suspects
    htl resample scored.jsonl --by pruned_loss --boost 1 | htl train -o weighted.h5    the hard ones twice as much
    htl resample scored.jsonl --by random --boost 1    its control for chance, needs no scores
    htl resample rows.jsonl --mode select --where sex=female --share 0.03 --count 1500 --mark rare > rare.jsonl
    htl resample scored.jsonl --corrections review.json | htl train -o corrected.h5    boxes that a review corrected
    htl resample rare.jsonl --where rare=yes --boost 8    the oracle, which knows the rare ones
    htl score rows.jsonl | htl resample --mode select --unlabelled --by pruned_disagreement --count 200    what to annotate next
    htl score rows.jsonl | htl resample --pseudo --by pruned_disagreement --boost -1    boxes where dense and pruned model agree

    Only annotated rows of the training split are touched, with --pseudo only those without a box; the others pass through.
    No kind of weight was found to help a training, so the default changes none; weights have mean 1, and the learning rate means the same.
    """
    options.rows_expected(rows)
    import numpy as np

    from htltools.commands.resample import flags, hard_rows, modes
    from htltools.commands.resample.pseudo_boxes import with_pseudo_box
    from htltools.commands.shared.chosen_rows import ChosenRows, read_many_chosen
    from htltools.commands.shared.corrections import corrected_rows
    from htltools.core.sampling.sample_weights import soft_weights
    from htltools.formats.rows.provenance import file_digest
    from htltools.formats.rows.spooled import kept_rows, rows_at
    from htltools.formats.rows.stream import RowWriter, check_predictions

    flags.refuse_two_criteria(by, top, where, soft, share, count, mark, drop_top, drop_by)
    flags.refuse_for_mode(mode, boost, soft, top, share, count, unlabelled, pseudo)
    samples, reader = read_many_chosen(rows, ChosenRows(ids, not_ids, run), partial=partial, limit=limit)
    check_predictions(samples)
    if corrections:
        samples = corrected_rows(samples, corrections)
        run.lists[str(corrections)] = file_digest(corrections) if corrections.is_file() else "a folder"
    if (corrections or ids or not_ids) and flags.nothing_asked(by, where, pseudo, boost, soft, mode, mark, drop_top):
        with RowWriter(run, run.chain(reader.history), skipped=reader.skipped) as writer:
            writer.models(reader.models)
            writer.write(samples)
        return
    if pseudo:
        samples = kept_rows(map(with_pseudo_box, samples))
    by, top = hard_rows.resolved_column(samples, by or "pruned_loss", "--by"), 0.3 if top is None else top
    suspects_by = hard_rows.resolved_column(samples, drop_by, "--drop-by") if drop_by else by
    touched = hard_rows.training_places(samples, pseudo=pseudo, unlabelled=unlabelled)
    places, dropped = hard_rows.without_suspects(samples, touched, suspects_by, drop_top, seed)
    criterion = hard_rows.Criterion(by, top, None if share is not None else count, where or [], seed)
    training = rows_at(samples, places)
    is_hard, ties = criterion.hard_rows(training)
    marks = criterion.marks(samples, places, is_hard, mark) if mark else None
    drawn, counts, weights = "", np.ones(len(places), int), np.full(len(places), np.nan)
    match mode:
        case Mode.weight:
            weights = soft_weights(criterion.hardness(training), boost) if soft else modes.hard_weights(is_hard, boost)
        case Mode.repeat:
            counts = 1 + round(boost) * is_hard
        case Mode.select:
            counts, drawn = modes.staying(training, is_hard, share, count, bool(where), seed)
    resampled = modes.Resampled.of_training(len(samples), touched, places, counts, weights, alone=unlabelled)
    said = hard_rows.in_words(criterion, is_hard, ties, soft, bool(mark))
    console.say(f"{said}{drawn}{dropped}; {resampled.counts.sum()} rows of {len(samples)} go on")
    if mode == Mode.weight and boost == 0:
        console.say("all weights are 1: no kind of weight was found to help; --boost X to try, --mode select to choose")
    with RowWriter(run, run.chain(reader.history, by=by, top=top), skipped=reader.skipped) as writer:
        writer.models(reader.models)
        writer.write(resampled.rows(samples, hard_rows.marked(samples, mark, *marks) if mark and marks else None))
