"""Rows by their ids: --ids and --not-ids."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from htltools import console
from htltools.errors import DataError, UsageError
from htltools.formats.rows.id_lists import IdList, read_ids
from htltools.formats.rows.provenance import Run
from htltools.formats.rows.row import Row
from htltools.formats.rows.spooled import kept_rows
from htltools.formats.rows.stream import RowReader
from htltools.formats.sources.open_rows import first_rows, no_rows, open_rows
from htltools.processes import several_processes

SHOWN = 3  # ids that a sentence names


class ChosenRows:
    """The rows of a stream that --ids and --not-ids leave. After the last, the ids that no row has are said. The history has their digests.

    Raises: as `read_ids`; DataError where --ids names none.
    """

    def __init__(self, wanted: Sequence[Path] | None, unwanted: Sequence[Path] | None, run: Run):
        self.left_none = 0  # rows that were read, where none of them stayed
        if pipe := next((path for path in (*(wanted or ()), *(unwanted or ())) if several_processes() and path.is_fifo()), None):
            raise UsageError(f"several processes cannot share the pipe {pipe}", "write the ids to a file")
        self.wanted, self.unwanted = ([read_ids(path) for path in paths] if paths else None for paths in (wanted, unwanted))
        for flag, lists in (("--ids", self.wanted), ("--not-ids", self.unwanted)):
            for own in lists or ():
                run.lists[own.name] = own.sha256
                if not own.marks and flag == "--ids":
                    raise DataError(f"{own.name} names no id", "name one a line, rows, or a table with a column id")
                if len(own.different_marks) > 1:
                    some = own.different_marks[0]
                    console.say(
                        f"{flag} takes all ids of {own.name}, marked {' or '.join(own.different_marks)}; {own.name}:{some} takes some"
                    )

    def of(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows that stay, in their order.

        Raises: DataError after the last where no row has any of the ids of --ids.
        """
        if self.wanted is None and self.unwanted is None:
            yield from rows
            return
        wanted, unwanted = (None if lists is None else set().union(*(own.ids for own in lists)) for lists in (self.wanted, self.unwanted))
        missing = {*(wanted or ()), *(unwanted or ())}
        count = kept = 0
        for row in rows:
            count += 1
            missing.discard(row.id)
            if (wanted is None or row.id in wanted) and (unwanted is None or row.id not in unwanted):
                kept += 1
                yield row
        for own in [*(self.wanted or ()), *(self.unwanted or ())]:
            say_missing(own, missing)
        if wanted and wanted <= missing and count:
            raise DataError(f"no row has an id of {' or '.join(own.name for own in self.wanted or ())}", f"{count} rows were read")
        self.left_none = 0 if kept else count
        console.say(f"{kept} of {count} rows by their ids")


def say_missing(own: IdList, missing: set[str]) -> None:
    """Say which ids of a list no row has."""
    if lost := [name for name in own.marks if name in missing]:
        more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
        console.say(f"{len(lost)} of the {len(own.marks)} ids of {own.name} are in no row: {', '.join(lost[:SHOWN])}{more}")


def read_many_chosen(
    source: Path | None, chosen: ChosenRows, *, partial: bool = False, limit: int | None = None
) -> tuple[Sequence[Row], RowReader]:
    """The rows of a source that are chosen, or the first `limit` of these, and the reader that knows its notes.

    Many rows lie in a temporary file, and each access to one parses it anew, so that a change of it would be lost.

    Raises: as `open_rows` and `ChosenRows.of`; DataError where the source holds no row at all, or none is left; StorageError.
    """
    reader = open_rows(source, partial=partial)
    rows = kept_rows(first_rows(chosen.of(reader), limit))
    refuse_nothing(rows, chosen, reader)
    return rows, reader


def refuse_nothing(rows: Sequence[Row], chosen: ChosenRows, reader: RowReader) -> None:
    """Refuse a source without rows, or of which none is left.

    Raises: DataError.
    """
    if not rows and chosen.left_none:
        raise DataError("--not-ids leaves no row", f"it names all {chosen.left_none} of them")
    if not rows:
        raise no_rows(reader)
