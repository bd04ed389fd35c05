"""`prepare --croissant`: a description of the data set for other tools."""

from pathlib import Path

from htltools import __version__, console
from htltools.formats.files.atomic import refuse_existing
from htltools.formats.store.croissant import check_installed, rows_path, write_croissant
from htltools.formats.store.store import shards_of


def refuse_croissant(path: Path, force: bool) -> None:
    """Refuse a description that cannot be written, before anything else is done.

    Raises: UsageError where mlcroissant is not installed; CannotCreate.
    """
    check_installed()
    for each in (path, rows_path(path)):
        refuse_existing(each, force)


def describe(path: Path, folder: Path, count: int) -> None:
    """Describe the store in a folder, with `count` samples, and say what the description lacks."""
    text = f"{count} images, prepared by htl {__version__}."
    left_out = write_croissant(path, shards_of(folder), folder.resolve().name, text)
    console.say(f"{path}, and {rows_path(path).name} beside it: licence, citation, version and date of publication are for you to add")
    if left_out:
        console.say(f"{path}: fields that are lists, or of several kinds, are left out: {', '.join(left_out)}")
