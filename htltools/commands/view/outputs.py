"""What `view` writes: rows, tables and images, and files for other programs."""

import sys
from pathlib import Path
from typing import Any, NamedTuple

from htltools import console
from htltools.commands.view.selection import Selected
from htltools.commands.view.table import field_table, print_table, print_tsv
from htltools.errors import UsageError
from htltools.formats.files.atomic import refuse_existing
from htltools.formats.rows.jsonlines import writing
from htltools.formats.rows.provenance import Run
from htltools.formats.rows.schema import SCHEMA
from htltools.formats.rows.stream import RowReader, RowWriter

TABLES = "table", "tsv"
FORMS = "rows", *TABLES, "csv"
FILES = "parquet", "coco", "fiftyone"


class Target(NamedTuple):
    """A form that rows are written in, and the file or folder of those that need one."""

    form: str
    path: Path | None = None


def checked_target(
    to: str | None, *, columns: str | None, summary: bool, group_by: str | None, thumbnails: str | None, copy_images: Path | None
) -> Target:
    """What --to names; without it a table where one is asked for or stdout is a terminal, else rows.

    Raises: UsageError where it names nothing, or other flags ask for something else.
    """
    if summary and thumbnails:
        raise UsageError("--summary and --thumbnails exclude each other")
    if group_by is not None and not summary:
        raise UsageError("--group-by makes the subgroups of --summary", "give both")
    if copy_images and not (to or "").startswith("coco:"):
        raise UsageError("--copy-images copies what a COCO data set names", "give --to coco:FILE as well")
    if to is None:
        return Target("table" if columns or summary or thumbnails or console.is_terminal(sys.stdout) else "rows")
    target = parsed_target(to)
    for flag, given in {"--summary": summary, "--thumbnails": thumbnails, "--columns": columns}.items():
        if given and target.form not in (*TABLES, *(["csv"] if flag == "--columns" else [])):
            raise UsageError(f"{flag} and --to {target.form} exclude each other")
    return target


def parsed_target(text: str) -> Target:
    """The target of "tsv" or "coco:scored.json".

    Raises: UsageError.
    """
    form, colon, path = text.partition(":")
    if form in FORMS and not colon:
        return Target(form)
    if form in FILES and path:
        return Target(form, Path(path))
    raise UsageError(f"--to takes {', '.join(FORMS)}, parquet:FILE, coco:FILE or fiftyone:DIR, not {text!r}")


def refuse_existing_files(target: Target, sheet: Path | None, images: Path | None, force: bool) -> None:
    """Refuse to replace files, before any row is read.

    Raises: CannotCreate.
    """
    if sheet:
        refuse_existing(sheet, force)
    if images:
        refuse_existing(images, force)
    match target:
        case Target("coco" | "parquet", Path() as path):
            refuse_existing(path, force)
        case Target("fiftyone", Path() as path):
            from htltools.formats.tables.fiftyone_export import refuse_folder

            refuse_folder(path, force)


def write_rows(selected: Selected, run: Run, reader: RowReader, *, notes: bool) -> None:
    """Write rows to stdout, with the notes of their reader and of this run, or without any."""
    writer = RowWriter(run, run.chain(reader.history), skipped=reader.skipped)
    if not notes:
        writer.write(selected.rows)
        return
    with writer:
        writer.models(reader.models)
        writer.write(selected.rows)


def write(
    selected: Selected,
    target: Target,
    run: Run,
    reader: RowReader,
    images: Path | None = None,
    originals: Path | None = None,
    *,
    force: bool,
) -> None:
    """Write rows in any other form. images: where to copy the original images of a COCO data set; originals: where they lie now.

    Raises: UsageError where FiftyOne would get none; CannotCreate, StorageError.
    """
    match target:
        case Target("csv"):
            print_csv(selected)
        case Target("parquet", Path() as path):
            from htltools.formats.parquet.parquet_export import write_parquet

            console.say(f"{path}: {write_parquet(path, selected.rows, about_rows(run, reader))} rows")
        case Target("coco", Path() as path):
            from htltools.formats.tables.coco_export import write_coco

            names = None
            if images:
                from htltools.commands.view.review import copied_images

                names = copied_images(selected.rows, images, originals)
            say_written(path, selected, write_coco(path, selected.rows, names))
        case Target("fiftyone", Path() as path):
            from htltools.formats.tables.fiftyone_export import write_fiftyone

            if not selected.rows:
                raise UsageError("no row is left to write")
            say_written(path, selected, write_fiftyone(path, selected.rows, run.chain(reader.history), force=force))
        case Target("tsv"):
            print_tsv(*field_table(selected.rows, selected.columns))
        case _:
            first = selected.sort if console.is_terminal(sys.stdout) else None
            fixed = None if selected.columns else 2 if selected.sort else 1  # the id, and what the rows were sorted by
            print_table(*field_table(selected.rows, selected.columns, first), fixed)


def about_rows(run: Run, reader: RowReader) -> dict[str, Any]:
    """What notes say around rows, for a file that holds no notes."""
    models = {role: {"path": path, "sha256": reader.digests.get(role)} for role, path in reader.models.items()}
    return {"schema": SCHEMA, "by": run.id, "history": run.chain(reader.history), "models": models, "skipped": reader.skipped}


def print_csv(selected: Selected) -> None:
    """Print a CSV; on a terminal without control characters."""
    from htltools.formats.tables.csv_export import csv_lines

    with writing():
        for line in csv_lines(selected.rows, selected.columns, console.printable if console.is_terminal(sys.stdout) else str):
            sys.stdout.buffer.write(line.encode("utf-8", "backslashreplace"))
        sys.stdout.flush()


def say_written(path: Path, selected: Selected, unannotated: int) -> None:
    """Say what another program can read now, and how many of its samples nobody annotated."""
    aside = f", {unannotated} of them not annotated, which other programs may take for empty" if unannotated else ""
    console.say(f"{path}: {len(selected.rows)} rows{aside}")


def print_summary(selected: Selected, target: Target, group_by: str | None) -> None:
    """Print counts and mean hardness by split and subgroup."""
    from htltools.commands.view.summary import summary_table
    from htltools.core.statistics.subgroups import parsed_fields

    crossings = None if group_by is None else parsed_fields(group_by)
    show = print_tsv if target.form == "tsv" else print_table
    show(*summary_table(selected.rows, crossings, selected.columns))


def show_thumbnails(selected: Selected, kind: str, limit: int | None) -> None:
    """Show rows as small images where the terminal can, else say why not; without a --limit also how many more there are."""
    from htltools.commands.view import terminal

    protocol, reason = terminal.chosen_protocol(kind)
    if protocol is None:
        console.say(f"no images: {reason}; --sheet PNG writes them to a file")
    else:
        from htltools.commands.view.draw import drawing

        terminal.show_images(drawing(selected.rows, selected.sort, selected.order), protocol)
    if limit is None and len(selected.rows) < selected.matched:
        console.say(f"the first {len(selected.rows)} of {selected.matched} rows; more with --limit")


def write_sheet(selected: Selected, path: Path) -> None:
    """Draw rows as a contact sheet: at most 60 of them."""
    from htltools.commands.view.draw import drawing
    from htltools.formats.images.png import write_png

    drawn = drawing(selected.rows, selected.sort, selected.order)
    write_png(path, drawn.sheet())
    console.say(f"{path}: {len(drawn.ids)} samples drawn")
