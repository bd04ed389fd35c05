"""`htl resample`: hardness into training weights, repeats or a selection."""

from typing import Annotated

from typer import Option

from htltools import console, options
from htltools.errors import DataError, UsageError


class Mode(options.Choice):
    """What hardness becomes."""

    weight, repeat, select = "weight", "repeat", "select"


@options.command
def resample(
    run,
    rows: options.Rows = None,
    by: Annotated[
        str | None,
        Option(
            "--by",
            metavar="COLUMN",
            help="The hardness to go by; default pruned_loss; random and smallness need no scores.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[
        float | None, Option("--top", min=0, max=1, help="Share of the training rows that counts as hard; default 0.3.", show_default=False)
    ] = None,
    where: Annotated[
        list[str] | None,
        Option(
            "--where",
            metavar="FIELD=VALUE",
            help="Hard is who fits this, instead of --by and --top; repeat it for and.",
            show_default=False,
        ),
    ] = None,
    pseudo: Annotated[bool, Option("--pseudo", help="Training rows without a box get the mean of their predicted ones.")] = False,
    boost: Annotated[float, Option("--boost", min=-1, help="Extra weight, or copies, of the hard ones; -1 leaves them out.")] = 1.0,
    soft: Annotated[bool, Option("--soft", help="Weights grow evenly with rank, instead of a top share.")] = False,
    mode: Annotated[Mode, Option("--mode", help="Weights, copies of the hard rows, or only the hard rows.")] = Mode.weight,
    share: Annotated[
        float | None, Option("--share", min=0, max=1, help="select: make the hard ones this share of all that stay.", show_default=False)
    ] = None,
    count: Annotated[int | None, Option("--count", metavar="N", min=1, help="select: how many rows stay.", show_default=False)] = None,
    unlabelled: Annotated[bool, Option("--unlabelled", help="select: from training rows without a box; only they go out.")] = False,
    mark: Annotated[
        str | None, Option("--mark", metavar="NAME", help="Write yes or no into meta of every row: is it hard?", show_default=False)
    ] = None,
    drop_top: Annotated[float, Option("--drop-top", min=0, max=1, help="First drop this share, the hardest: suspects.")] = 0.0,
    drop_by: Annotated[
        str | None, Option("--drop-by", metavar="COLUMN", help="What --drop-top goes by; default: --by.", show_default=False)
    ] = None,
    seed: options.Seed = 0,
    limit: options.Limit = None,
    partial: options.Partial = False,
):
    """Turn hardness into training weights; mean 1, so that the learning rate means the same.

    \b
    htl score rows.jsonl | htl resample --by pruned_loss --top 0.3 --boost 1 | htl train -o attended.h5
    htl resample rows.jsonl --by random    the control for chance, needs no scores
    htl resample rows.jsonl --mode select --where sex=female --share 0.03 --count 1500 --mark rare > rare.jsonl
    htl resample rare.jsonl --where rare=yes --boost 8    the oracle, who knows the rare ones
    htl score rows.jsonl | htl resample --mode select --unlabelled --by pruned_disagreement --count 200    what to annotate next
    htl score rows.jsonl | htl resample --pseudo --by pruned_disagreement --boost -1    boxes where dense and pruned model agree

    Only annotated rows of the training split are touched, with --pseudo only those without a box; the others pass through.
    --boost 0 changes nothing.
    """
    options.rows_expected(rows)
    refuse_contradictions(by, top, where, soft, count, share)
    selecting = {"--share": share is not None, "--count": count, "--unlabelled": unlabelled}
    if mode != Mode.select and any(selecting.values()):
        raise UsageError(f"{next(flag for flag, given in selecting.items() if given)} needs --mode select")
    if pseudo and unlabelled:
        raise UsageError("--pseudo annotates the rows that --unlabelled looks for", "use one of them")
    if soft and mode != Mode.weight:
        raise UsageError("--soft makes weights: it does not go with --mode " + mode)
    if mode == Mode.repeat and (round(boost) != boost or boost < 0):
        raise UsageError(f"--mode repeat makes whole copies: --boost {boost:g} is none")
    if mode == Mode.select and top == 0 and share is None:
        raise UsageError("--mode select with --top 0 would leave nothing to train on")
    if drop_by and not drop_top:
        raise UsageError("--drop-by needs --drop-top")
    by, top = by or "pruned_loss", 0.3 if top is None else top
    from htltools.commands.resample import hard_rows
    from htltools.commands.shared import inputs
    from htltools.core.sampling import sample_weights
    from htltools.core.sampling.subset import selection
    from htltools.formats.rows.stream import RowWriter
    from htltools.formats.sources.open_rows import read_rows

    samples, reader = read_rows(rows, partial=partial, limit=limit)
    if pseudo:
        samples = [hard_rows.with_pseudo_box(row) for row in samples]
    training = [row for row in inputs.split_rows(samples, "train") if inputs.is_annotated(row) != unlabelled]
    if pseudo:
        training = [row for row in training if row.get("pseudo")]
    if not training:
        missing = "no row of split train without a box" + (" has a predicted one: run htl score first" if pseudo else "")
        raise DataError(missing if unlabelled or pseudo else "no annotated row of split train to resample")
    dropped = set()
    if drop_top:
        suspects = sample_weights.hardest(inputs.hardness_column(training, drop_by or by, seed), drop_top)
        dropped = {id(row) for row, gone in zip(training, suspects) if gone}
        training = [row for row in training if id(row) not in dropped]
        if not training:
            raise DataError(f"--drop-top {drop_top} leaves no training row")
    hard = hard_rows.Hard(by, top, count if share is None else None, where or [], seed)
    is_hard = hard.of_training(training)
    if mark:
        hard.mark(samples, training, is_hard, mark)
    if mode == Mode.weight and boost == -1 and is_hard.all() and not soft:
        raise UsageError("--boost -1 leaves out the hard rows, and all of them are hard", "lower --top")
    drawn = ""
    match mode:
        case Mode.weight:
            weights = sample_weights.soft_weights(hard.column(training), boost) if soft else sample_weights.boosted_weights(is_hard, boost)
            changed = {id(row): [row | {"weight": float(weight)}] for row, weight in zip(training, weights)}
        case Mode.repeat:
            copies, free = round(boost), hard_rows.free_numbers(samples)
            changed = {id(row): hard_rows.repeats(row, copies if extra else 0, free) for row, extra in zip(training, is_hard)}
        case Mode.select:
            stays = is_hard
            if share is not None or (where and count):
                stays = selection(is_hard, inputs.groups_of(training), 1.0 if share is None else share, count, seed)
                drawn = f", {(is_hard & stays).sum()} of the {stays.sum()} that stay"
            changed = {id(row): [row] if stay else [] for row, stay in zip(training, stays)}
    given = training if unlabelled else [row for row in samples if id(row) not in dropped]
    kept = [new for row in given for new in changed.get(id(row), [row])]
    aside = f", {len(dropped)} dropped" if dropped else ""
    console.say(
        f"{is_hard.sum()} of {len(training)} training rows are hard by {hard}{drawn}{aside}; {len(kept)} rows of {len(samples)} go on"
    )
    with RowWriter(run, run.chain(reader.history, by=by, top=top), skipped=reader.skipped) as writer:
        writer.models(reader.models)
        writer.write(kept)


def refuse_contradictions(by: str | None, top: float | None, where: list[str] | None, soft: bool, count: int | None, share: float | None):
    """Refuse two answers to who is hard.

    Raises: UsageError.
    """
    instead = {"--by": by is not None, "--top": top is not None, "--soft": soft}
    if where and any(instead.values()):
        flag = next(flag for flag, given in instead.items() if given)
        raise UsageError(f"--where says who is hard: it does not go with {flag}")
    if top is not None and count and share is None:
        raise UsageError("--top and --count both say how many stay: name one of them, or --share as well")
