"""Rows as a stream, for commands that write the first ones before they have read the last."""

from collections.abc import Collection, Iterator
from itertools import chain, islice
from pathlib import Path

from htltools.commands.shared.chosen_rows import ChosenRows
from htltools.commands.shared.models import FLAGS
from htltools.errors import DataError
from htltools.formats.rows.row import Row
from htltools.formats.rows.stream import RowReader
from htltools.formats.sources.open_rows import first_rows, no_rows, open_rows

LOOKED_AHEAD = 1024  # rows among which a model is awaited that need not be there


def open_stream(
    source: Path | RowReader | None,
    roles: set[str],
    *,
    partial: bool,
    limit: int | None,
    optional: Collection[str] = (),
    chosen: ChosenRows | None = None,
) -> tuple[Iterator[Row], RowReader]:
    """The rows of a source, and their reader, which by then knows a model for each of the roles if there is one at all, and for the
    optional ones if the first LOOKED_AHEAD rows have it.

    Raises: DataError where the source is bad or holds no row; MissingInput.
    """
    reader = source if isinstance(source, RowReader) else open_rows(source, partial=partial)
    rows, waiting = first_rows(chosen.of(reader) if chosen else reader, limit), []
    for row in rows:
        waiting.append(row)
        missing = {*roles, *optional} - reader.models.keys()
        if not missing or (missing.isdisjoint(roles) and len(waiting) >= LOOKED_AHEAD):
            break
    if not waiting:
        raise no_rows(reader)
    return chain(waiting, rows), reader


def row_batches(rows: Iterator[Row], size: int, reader: RowReader, roles: set[str]) -> Iterator[list[Row]]:
    """The rows in lists of at most `size`, as long as the notes between them name no other model for the roles.

    Raises: DataError where they do: rows that were scored by different models do not compare.
    """
    used = {role: (reader.models[role], reader.digests[role]) for role in roles if role in reader.models}
    while True:
        batch = list(islice(rows, size))
        for role in (roles - used.keys()) & reader.models.keys():
            raise DataError(f"{reader.name} names a {role} model only after its first rows", f"name it with {FLAGS[role]}")
        for role, (path, digest) in used.items():
            later, later_digest = reader.models[role], reader.digests[role]
            if digest != later_digest if digest and later_digest else path != later:
                raise DataError(f"{reader.name} names {path} as {role} model, and later {later}", f"name one of them with {FLAGS[role]}")
        if not batch:
            return
        yield batch
