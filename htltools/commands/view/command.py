"""`htl view`: rows in, chosen rows, a table or a file for another program out."""

from functools import partial as preset
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from htltools import console, options
from htltools.errors import UsageError

FEW = 12  # rows of --thumbnails without --limit
WORDS = "rows", "table", "tsv", "csv", "coco:", "fiftyone:", "parquet:"  # of --to, for the TAB key


class Thumbnails(options.Choice):
    """How `--thumbnails` draws images: as the terminal can, or in a way that is named."""

    auto, blocks, kitty, iterm, sixel = "auto", "blocks", "kitty", "iterm", "sixel"


Sources = Annotated[
    list[Path] | None,
    Argument(
        metavar="ROWS",
        help="A file of rows, JSON Lines or Parquet, a store, a model, training logs, or - for stdin (the default).",
        show_default=False,
    ),
]

data = preset(Option, rich_help_panel="Data", show_default=False)
Split = Annotated[str | None, data("--split", metavar="train|val|test|all", help="Only rows of this split.")]
Where = Annotated[
    list[str] | None, data("--where", metavar="FIELD=VALUE", help="Only rows for which this holds; also != < <= > >=; repeat it for and.")
]
Sort = Annotated[str | None, data("--sort", metavar="FIELD", help="Highest first; rows without the field come last.")]
Ascending = Annotated[bool, data("--ascending", help="Lowest first.")]

output = preset(Option, rich_help_panel="Output", show_default=False)
To = Annotated[
    str | None,
    output(
        "--to",
        metavar="rows|table|tsv|csv|parquet:FILE|coco:FILE|fiftyone:DIR",
        help="What to write [a table on a terminal, else rows].",
        autocompletion=lambda: list(WORDS),
    ),
]
Columns = Annotated[str | None, output("--columns", metavar="A,B,...", help="Fields of a table.")]
NoNotes = Annotated[bool, output("--no-notes", help="Write rows without notes.")]
Summary = Annotated[bool, output("--summary", help="Counts and mean hardness by split and subgroup.")]
GroupBy = Annotated[str | None, output("--group-by", metavar="FIELD[:WIDTH],...", help="Subgroups of --summary: sex,age:20.")]
ShowImages = Annotated[Thumbnails | None, output("--thumbnails", help="Show the rows as small images too, on a terminal that can.")]
Sheet = Annotated[Path | None, output("--sheet", metavar="PNG", help="Also draw the chosen rows with their boxes.")]
Originals = Annotated[Path | None, output("--originals", metavar="DIR", help="Folder of the original images by now.")]
CopyImages = Annotated[Path | None, output("--copy-images", metavar="DIR", help="Copy the original images too, for --to coco:FILE.")]
Check = Annotated[bool, output("--check", help="Check every byte of stores, checkpoints and rows, and write nothing.")]


@options.command
def view(
    run,
    rows: Sources = None,
    split: Split = None,
    where: Where = None,
    ids: options.Ids = None,
    not_ids: options.NotIds = None,
    sort: Sort = None,
    ascending: Ascending = False,
    limit: options.Limit = None,
    to: To = None,
    columns: Columns = None,
    no_notes: NoNotes = False,
    summary: Summary = False,
    group_by: GroupBy = None,
    thumbnails: ShowImages = None,
    sheet: Sheet = None,
    copy_images: CopyImages = None,
    originals: Originals = None,
    check: Check = False,
    partial: options.Partial = False,
    force: options.Force = False,
):
    """Choose rows and look at them: rows into a pipe, a table on a terminal.

    \b
    htl view scored.jsonl --split test --where 'age>=60' --limit 10
    htl view scored.jsonl --sort pruned_disagreement --limit 24 --sheet hardest.png --to tsv > hardest.tsv
    htl view scored.jsonl --sort pruned_loss --thumbnails auto      the hardest as small images, here
    htl view scored.jsonl --summary --group-by sex,age:20 --columns pruned_loss,pruned_disagreement
    htl view scored.jsonl --to coco:scored.json     a COCO data set; fiftyone:DIR for FiftyOne
    htl view scored.jsonl --to parquet:scored.parquet    rows as every command reads them too, sorted and filtered at once
    htl view scored.jsonl --sort suspect --limit 100 --to coco:review.json --copy-images review     to be corrected elsewhere
    htl view store > rows.jsonl     the rows of a finished store, from where it lies now
    htl view dense.h5               what is in a checkpoint, or an ONNX file
    htl view *.log.jsonl            trainings, side by side
    htl view --check store dense.h5 rows.jsonl     is every byte what htl wrote?

    A field is a key of the row, or one of meta or hardness: age, meta.age, hardness.pruned_disagreement. --sort and --columns also take
    the beginning of a hardness column, where no other begins so: pruned_d. The whole input is read, also with --limit, so that the
    command before ends well.
    """
    if check:
        from htltools.commands.view.check import check_files

        return check_files(rows or [Path("-")])
    if ascending and not sort:
        raise UsageError("--ascending is the order of --sort", "name a field with it")
    from htltools.commands.view import runs

    if rows and all(map(runs.is_training_log, rows)):
        runs.refuse_other_flags(split=split, where=where, summary=summary, group_by=group_by, thumbnails=thumbnails, sheet=sheet)
        return runs.show_runs(rows, sort, ascending, columns, limit, to)
    source = only_source(rows)
    if source is not None:
        from htltools.formats.models.file_kind import CHECKPOINT, ONNX, kind_of_file

        if (kind := kind_of_file(source)) and kind[0] in (CHECKPOINT, ONNX):
            from htltools.commands.view.model import show_model

            return show_model(source, kind[0])
    options.rows_expected(source)
    from htltools.commands.shared.chosen_rows import ChosenRows
    from htltools.commands.view import outputs, selection
    from htltools.formats.models.file_kind import is_parquet
    from htltools.formats.rows.spooled import kept_rows
    from htltools.formats.sources.open_rows import open_rows

    target = outputs.checked_target(to, columns=columns, summary=summary, group_by=group_by, thumbnails=thumbnails, copy_images=copy_images)
    query = selection.Query(
        split and options.split_named(split), where or [], sort, columns.split(",") if columns else None, ascending=ascending
    )
    outputs.refuse_existing_files(target, sheet, copy_images, force)
    few = limit or (FEW if thumbnails else None)
    chosen, found = ChosenRows(ids, not_ids, run), None
    if source and is_parquet(source) and not (summary or ids or not_ids or ascending):
        from htltools.commands.view.parquet import selected_in_parquet

        found = selected_in_parquet(source, query, few)
    if found:
        selected, reader = found
    else:
        reader = open_rows(source, partial=partial)
        selected = query.select(kept_rows(chosen.of(reader)), few, means=summary)
    if not selected.rows and str(query) and not sheet and target.form != "fiftyone":  # these refuse it
        console.say(f"no row meets {query}")
    if sheet:
        outputs.write_sheet(selected, sheet)
    if thumbnails:
        outputs.show_thumbnails(selected, thumbnails, limit)
    if summary:
        outputs.print_summary(selected, target, group_by)
    elif target.form == "rows":
        outputs.write_rows(selected, run, reader, notes=not no_notes)
    else:
        outputs.write(selected, target, run, reader, copy_images, originals, force=force)


def only_source(rows: list[Path] | None) -> Path | None:
    """The one source of rows.

    Raises: UsageError where there are several.
    """
    if rows and len(rows) > 1:
        raise UsageError(f"unexpected extra argument ({rows[1]})", "only --check and training logs take several; join rows with cat")
    return rows[0] if rows else None
