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
    by: Annotated[str, Option("--by", metavar="COLUMN", help="The hardness to go by; random and area need no scores.")] = "pruned_loss",
    top: Annotated[float, Option("--top", min=0, max=1, help="Share of the training rows that counts as hard.")] = 0.3,
    boost: Annotated[float, Option("--boost", min=0, help="Extra weight, or extra copies, of the hard ones.")] = 1.0,
    soft: Annotated[bool, Option("--soft", help="Weights grow evenly with rank, instead of a top share.")] = False,
    mode: Annotated[Mode, Option("--mode", help="Weights, copies of the hard rows, or only the hard rows.")] = Mode.weight,
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

    Only annotated rows of the training split are touched; the others pass through. --boost 0 changes nothing.
    """
    options.rows_expected(rows)
    if soft and mode != Mode.weight:
        raise UsageError("--soft makes weights: it does not go with --mode " + mode)
    if mode == Mode.repeat and round(boost) != boost:
        raise UsageError(f"--mode repeat makes whole copies: --boost {boost:g} is none")
    if mode == Mode.select and not top:
        raise UsageError("--mode select with --top 0 would leave nothing to train on")
    if drop_by and not drop_top:
        raise UsageError("--drop-by needs --drop-top")
    from htltools.commands import _inputs
    from htltools.core import attention
    from htltools.formats.stream import RowWriter, read_rows

    samples, reader = read_rows(rows, partial=partial, limit=limit)
    training = [row for row in _inputs.split_rows(samples, "train") if _inputs.is_annotated(row)]
    if not training:
        raise DataError("no annotated row of split train to resample")
    dropped = set()
    if drop_top:
        suspects = attention.hardest(_inputs.hardness_column(training, drop_by or by, seed), drop_top)
        dropped = {id(row) for row, gone in zip(training, suspects) if gone}
        training = [row for row in training if id(row) not in dropped]
        if not training:
            raise DataError(f"--drop-top {drop_top} leaves no training row")
    hardness = _inputs.hardness_column(training, by, seed)
    is_hard = attention.hardest(hardness, top)
    match mode:
        case Mode.weight:
            weights = attention.soft_weights(hardness, boost) if soft else attention.top_weights(hardness, top, boost)
            changed = {id(row): [row | {"weight": float(weight)}] for row, weight in zip(training, weights)}
        case Mode.repeat:
            copies, free = round(boost), free_numbers(samples)
            changed = {id(row): repeats(row, copies if hard else 0, free) for row, hard in zip(training, is_hard)}
        case Mode.select:
            changed = {id(row): [row] if hard else [] for row, hard in zip(training, is_hard)}
    kept = [new for row in samples if id(row) not in dropped for new in changed.get(id(row), [row])]
    aside = f", {len(dropped)} dropped" if dropped else ""
    console.say(f"{is_hard.sum()} of {len(training)} training rows are hard by {by}{aside}; {len(kept)} rows of {len(samples)} go on")
    with RowWriter(run, run.chain(reader.history), skipped=reader.skipped) as writer:
        writer.models(reader.models)
        writer.write(kept)


def free_numbers(rows: list[dict]) -> dict[str, int]:
    """The first `repeat` of each id that no row has."""
    free: dict[str, int] = {}
    for row in rows:
        free[row["id"]] = max(free.get(row["id"], 1), row.get("repeat", 0) + 1)
    return free


def repeats(row: dict, copies: int, free: dict[str, int]) -> list[dict]:
    """The row and its copies, told apart by `repeat`; `free` moves on."""
    first = free[row["id"]]
    free[row["id"]] += copies
    return [row, *(row | {"repeat": number} for number in range(first, first + copies))]
