"""`htl join`: the outputs of all parts in, the rows of the whole out."""

from pathlib import Path
from typing import Annotated

from typer import Argument

from htltools import options
from htltools.errors import UsageError

Parts = Annotated[
    list[Path] | None,
    Argument(metavar="PART...", help="Files of rows that prepare, score or predict wrote with --part.", show_default=False),
]


@options.command
def join(run, parts: Parts = None):
    """Join the parts that --part made, and prove that all are there, once each.

    \b
    for k in 1 2 3; do htl score rows.jsonl --model dense.h5 --pruned pruned.h5 --part $k/3 > part.$k.jsonl; done
    htl join part.*.jsonl > scored.jsonl

    Nothing is written, and the exit code is 65, where a part is missing, stands there twice, belongs to something else (other samples,
    models, parameters or another number of parts), was cut or changed, or does not hold what it says: stderr names it. The rows come out
    part by part, whatever the order of the files. Files are read twice, so that a pipe is no part.
    """
    if not parts:
        raise UsageError("no parts to join", "name the files that --part made")
    from htltools.commands.join.parts import opened_parts, proved
    from htltools.commands.join.write import write_joined

    write_joined(run, proved(opened_parts(parts)))
