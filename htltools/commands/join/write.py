"""`join` from parts to the whole."""

from collections.abc import Sequence

from htltools import console
from htltools.commands.join.parts import PartFile
from htltools.formats.rows.provenance import Run, file_digest
from htltools.formats.rows.stream import RowWriter


def write_joined(run: Run, parts: Sequence[PartFile]) -> None:
    """Write the rows of all parts, in the order of the parts, with the models that the first one names.

    The history is that of the first part and a record of the join, with digests of the files: those of a thousand parts say the same.
    """
    first = parts[0].reader
    history = run.chain(first.history, {str(part.path): file_digest(part.path) for part in parts})
    skipped = sum(part.reader.skipped for part in parts)
    with RowWriter(run, history, skipped=skipped) as writer, console.progress("joining", sum(part.rows for part in parts)) as steps:
        writer.models(first.models)
        for part in parts:
            with part.path.open("rb") as file:
                for line in file:
                    if not line.startswith(b'{"htl":'):
                        writer.write_line(line)
            steps.advance(part.rows)
    kept, left_out = writer.rows, sum(part.note["left_out"] for part in parts)
    console.say(f"{kept} rows of {len(parts)} parts" + (f", {left_out} samples left out" if left_out else ""))
