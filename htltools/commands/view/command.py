"""`htl view`: rows in, chosen rows or a table out."""

import shutil
import sys
from itertools import accumulate, combinations
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from htltools import console, options
from htltools.errors import UsageError

USUAL = "id", "split", "label", "weight"
SOME = 12  # images on a terminal, unless --limit says otherwise


class Images(options.Choice):
    """How `--images` shows them: as the terminal can, or in a way that is named."""

    auto, blocks, kitty, iterm, sixel = "auto", "blocks", "kitty", "iterm", "sixel"


@options.command
def view(
    run,
    rows: Annotated[
        list[Path] | None,
        Argument(metavar="ROWS", help="A file of rows, a finished store, or - for stdin (the default).", show_default=False),
    ] = None,
    split: Annotated[str | None, Option("--split", metavar="train|val|test", help="Only rows of this split.", show_default=False)] = None,
    where: Annotated[
        list[str] | None,
        Option(
            "--where",
            metavar="FIELD=VALUE",
            help="Only rows for which this holds; also != < <= > >=; repeat it for and.",
            show_default=False,
        ),
    ] = None,
    sort: Annotated[
        str | None, Option("--sort", metavar="FIELD", help="Highest first; rows without the field come last.", show_default=False)
    ] = None,
    limit: options.Limit = None,
    columns: Annotated[str | None, Option("--columns", metavar="A,B,...", help="Fields of a table.", show_default=False)] = None,
    tsv: Annotated[bool, Option("--tsv", help="A tab-separated table with a heading.")] = False,
    csv: Annotated[bool, Option("--csv", help="A CSV of --columns, or of all fields.")] = False,
    rows_out: Annotated[bool, Option("--rows", help="Rows even on a terminal.")] = False,
    notes: Annotated[bool, Option("--notes/--no-notes", help="Write notes with the rows.")] = True,
    summary: Annotated[bool, Option("--summary", help="Counts and mean hardness by split and subgroup.")] = False,
    group_by: Annotated[
        str | None, Option("--group-by", metavar="FIELD[:WIDTH],...", help="Subgroups of --summary: sex,age:20.", show_default=False)
    ] = None,
    images: Annotated[
        Images | None, Option("--images", help="Show the rows as images too, on a terminal that can.", show_default=False)
    ] = None,
    sheet: Annotated[
        Path | None, Option("--sheet", metavar="PNG", help="Also draw the chosen rows with their boxes.", show_default=False)
    ] = None,
    check: Annotated[bool, Option("--check", help="Check every byte of stores, checkpoints and rows, and write nothing.")] = False,
    coco: Annotated[
        Path | None, Option("--coco", metavar="JSON", help="Also write the chosen rows as a COCO data set.", show_default=False)
    ] = None,
    fiftyone: Annotated[
        Path | None,
        Option("--fiftyone", metavar="DIR", help="Also write the chosen rows and their images for FiftyOne.", show_default=False),
    ] = None,
    partial: options.Partial = False,
    force: options.Force = False,
):
    """Choose rows and look at them: rows into a pipe, a table on a terminal.

    \b
    htl view scored.jsonl --split test --where 'age>=60' --limit 10
    htl view scored.jsonl --sort pruned_disagreement --limit 24 --sheet hardest.png --tsv > hardest.tsv
    htl view scored.jsonl --sort pruned_loss --images auto      the hardest as small images, here
    htl view scored.jsonl --summary --group-by sex,age:20 --columns pruned_loss,pruned_disagreement
    htl view scored.jsonl --coco scored.json --csv > scored.csv
    htl view store > rows.jsonl     the rows of a finished store, from where it lies now
    htl view --check store dense.h5 rows.jsonl     is every byte what htl wrote?

    A field is a key of the row, or one of meta or hardness: age, meta.age, hardness.pruned_disagreement. The whole input is read, also
    with --limit, so that the command before ends well.
    """
    if check:
        tell_checked(rows or [Path("-")])
        return
    rows = only_one(rows)
    options.rows_expected(rows)
    from htltools.formats.files.atomic import refuse_existing
    from htltools.formats.rows.fields import compared_field, condition, field, require_fields
    from htltools.formats.rows.schema import SPLITS
    from htltools.formats.rows.stream import RowWriter
    from htltools.formats.sources.open_rows import open_rows

    if split is not None and split not in SPLITS:
        raise UsageError(f"--split takes {', '.join(SPLITS)}, not {split!r}")
    forms = {"--tsv": tsv, "--csv": csv, "--rows": rows_out, "--summary": summary, "--images": images}
    for one, other in combinations([flag for flag, given in forms.items() if given], 2):
        if not (tsv and other in ("--summary", "--images")):  # both are tables
            raise UsageError(f"{one} and {other} exclude each other")
    if group_by is not None and not summary:
        raise UsageError("--group-by makes the subgroups of --summary", "give both")
    for path in filter(None, [sheet, coco]):
        refuse_existing(path, force)
    if fiftyone:
        from htltools.formats.tables.fiftyone_export import refuse_folder, write_fiftyone

        refuse_folder(fiftyone, force)
    tests = [condition(text) for text in where or []]
    reader = open_rows(rows, partial=partial)
    everything = list(reader)
    shown = columns.split(",") if columns else None
    require_fields(
        everything, [*(compared_field(text) for text in where or []), *([sort] if sort else []), *([] if summary else shown or [])]
    )
    chosen = [row for row in everything if split in (None, row.get("split")) and all(test(row) for test in tests)]
    if sort:
        chosen.sort(key=lambda row: sort_key(field(row, sort)), reverse=True)
    found = len(chosen)
    chosen = chosen[: limit or (SOME if images else None)]
    if sheet:
        draw(chosen, sheet, sort)
    if coco:
        hand_over(chosen, coco)
    if fiftyone:
        if not chosen:
            raise UsageError("no row is left to write")
        tell_handed(fiftyone, chosen, write_fiftyone(fiftyone, chosen, run.chain(reader.history), force=force))
    if csv:
        print_csv(chosen, shown)
        return
    if summary:
        show_summary(chosen, group_by, shown)
        return
    if images:
        show_images(chosen, sort, images)
        if len(chosen) < found and not limit:
            console.say(f"the first {len(chosen)} of {found} rows; more with --limit")
    if tsv or columns or images or (console.is_terminal(sys.stdout) and not rows_out):
        show(chosen, shown, sort)
        return
    writer = RowWriter(run, run.chain(reader.history), skipped=reader.skipped)
    if not notes:
        writer.write(chosen)
        return
    with writer:
        writer.models(reader.models)
        writer.write(chosen)


def tell_checked(paths: list[Path]) -> None:
    """Check files byte for byte, and say what each of them is.

    Raises: as `checked`, for the first that is bad.
    """
    from htltools.commands.view.check import checked

    for path in paths:
        if str(path) == "-":
            options.rows_expected(None)
        console.say(f"{'stdin' if str(path) == '-' else path}: {checked(path)}, whole")


def only_one(rows: list[Path] | None) -> Path | None:
    """The one source of rows.

    Raises: UsageError where there are several.
    """
    if rows and len(rows) > 1:
        raise UsageError(f"unexpected extra argument ({rows[1]})", "only --check takes several; join rows with cat")
    return rows[0] if rows else None


def sort_key(value) -> tuple:
    """Numbers above texts above nothing."""
    if isinstance(value, (int, float)):
        return 2, value
    return (1, value) if isinstance(value, str) else (0, 0)


def show(rows: list[dict], columns: list[str] | None, sort: str | None) -> None:
    """Print a table of fields: those asked for, or those the rows have; on a terminal only as many as it holds, the sorted one first."""
    from htltools.formats.rows.fields import NESTED, cell, field

    if columns is None:
        nested = [f"{outer}.{name}" for outer in NESTED for name in dict.fromkeys(name for row in rows for name in row.get(outer, {}))]
        columns = [name for name in USUAL if any(name in row for row in rows)] + nested
        if console.is_terminal(sys.stdout):
            columns.sort(key=lambda name: (name != "id", name not in (sort, f"meta.{sort}", f"hardness.{sort}")))
    show_fitting(columns, [[cell(field(row, name)) for name in columns] for row in rows])


def show_fitting(columns: list[str], table: list[list[str]]) -> None:
    """Print a table; on a terminal only the first columns, as many as it holds, without what their names begin with."""
    headings = columns
    if console.is_terminal(sys.stdout):
        headings = [name.rpartition(".")[2] for name in columns]
        widths = [max(map(len, [heading, *(line[i] for line in table)])) + 3 for i, heading in enumerate(headings)]
        fitting = sum(total - 1 <= shutil.get_terminal_size().columns for total in accumulate(widths))
        if fitting < len(columns):
            console.say(f"columns left out: {', '.join(columns[fitting:])}; choose with --columns")
        headings, table = headings[:fitting], [line[:fitting] for line in table]
    console.show_table(headings, table)


def show_summary(rows: list[dict], group_by: str | None, columns: list[str] | None) -> None:
    """Print counts and mean hardness by split and subgroup."""
    from htltools.commands.view.summary import summary
    from htltools.core.statistics.subgroups import parsed_fields

    show_fitting(*summary(rows, parsed_fields(group_by) if group_by is not None else None, columns))


def show_images(rows: list[dict], sort: str | None, asked: Images) -> None:
    """Show rows as small images where the terminal can; else say why not."""
    from htltools.commands.view import terminal

    kind, why = terminal.chosen_kind(asked)
    if kind is None:
        console.say(f"no images: {why}; --sheet PNG writes them to a file")
        return
    from htltools.commands.view.draw import drawing

    terminal.show_images(drawing(rows, sort), kind)


def print_csv(rows: list[dict], columns: list[str] | None) -> None:
    """Print a CSV; on a terminal without control characters."""
    from htltools.formats.rows.jsonlines import writing
    from htltools.formats.tables.csv_export import csv_lines

    with writing():
        for line in csv_lines(rows, columns, console.printable if console.is_terminal(sys.stdout) else str):
            sys.stdout.buffer.write(line.encode("utf-8", "backslashreplace"))
        sys.stdout.flush()


def hand_over(rows: list[dict], path: Path) -> None:
    """Write rows as a COCO data set."""
    from htltools.formats.tables.coco_export import write_coco

    tell_handed(path, rows, write_coco(path, rows))


def tell_handed(path: Path, rows: list[dict], without: int) -> None:
    """Say what another program now can read, and how many of its samples nobody annotated."""
    aside = f", {without} of them not annotated, which other programs may take for empty" if without else ""
    console.say(f"{path}: {len(rows)} rows{aside}")


def draw(rows: list[dict], path: Path, sort: str | None) -> None:
    """Draw rows as a contact sheet: at most 60 of them."""
    from htltools.commands.view.draw import drawing
    from htltools.formats.images.png import write_png

    drawn = drawing(rows, sort)
    write_png(path, drawn.sheet())
    console.say(f"{path}: {len(drawn.ids)} samples drawn")
