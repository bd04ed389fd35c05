"""DuckDB as the engine for Parquet: within this process, in bounded memory, without a network."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from htltools.errors import DataError, StorageError

if TYPE_CHECKING:
    import duckdb

MEMORY = "1GB"  # beyond which it writes to the folder of temporary files
SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": MEMORY,
    "autoinstall_known_extensions": "false",  # no network unless asked for
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}


DISK_FULL = "No space left", "max_temp_directory_size"  # in errors of DuckDB


@contextmanager
def engine(what: str) -> "Iterator[tuple[duckdb.DuckDBPyConnection, Path]]":
    """A connection, and a folder for temporary files that goes away with it. `what`: of what errors tell.

    Raises: DataError where DuckDB cannot read it; StorageError where the disk is full.
    """
    import duckdb

    with tempfile.TemporaryDirectory(prefix="htl-") as folder:
        connection = duckdb.connect(":memory:", config=SETTINGS | {"temp_directory": f"{folder}/spilled"})
        try:
            yield connection, Path(folder)
        except duckdb.Error as error:
            if any(word in str(error) for word in DISK_FULL):
                raise StorageError(f"{what}: {first_line(error)}", f"TMPDIR names a roomier folder than {tempfile.gettempdir()}") from None
            raise DataError(f"{what} cannot be read as Parquet, or written so ({first_line(error)})") from None
        finally:
            connection.close()


def first_line(error: Exception) -> str:
    """The first line of an error, in short, without what could steer a terminal."""
    return "".join(filter(str.isprintable, str(error).partition("\n")[0][:200]))


def text(value: str) -> str:
    """A text as a literal of SQL."""
    return "'" + value.replace("'", "''") + "'"


def name(value: str) -> str:
    """The name of a column as SQL has it."""
    return '"' + value.replace('"', '""') + '"'
