"""`--part k/N`: a command does the k-th part of its samples, and its output proves which, for `htl join`."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from htltools import __version__, console
from htltools.core.sampling.parts import Part, SampleSum
from htltools.errors import DataError, UsageError
from htltools.formats.rows.jsonlines import compact_json
from htltools.formats.rows.provenance import Run
from htltools.formats.rows.row import Row
from htltools.formats.rows.stream import RowReader, RowWriter
from htltools.formats.sources.candidate import Candidate

MOST_PARTS = 1_000_000

# Parameters in which parts of one whole may differ: where things lie, and how fast they are computed. The samples themselves, models and
# tables are compared by digests.
FREE = {
    *("part", "rows", "sources", "out", "table", "annotations", "masks", "id_key", "limit", "model", "pruned", "predictions", "coco"),
    *("csv", "coco_results", "yolo", "overlay", "skips", "croissant", "strict", "device", "nproc", "batch_size", "jobs", "force"),
    *("partial", "ids", "not_ids", "config"),
}


def parsed_part(text: str | None) -> Part | None:
    """The part that --part names.

    Raises: UsageError where it is none.
    """
    if text is None:
        return None
    numbers = re.fullmatch(r"(\d{1,7})/(\d{1,7})", text)
    k, count = map(int, numbers.groups()) if numbers else (0, 0)
    if not 1 <= k <= count <= MOST_PARTS:
        raise UsageError(f"--part takes k/N with 1 <= k <= N, such as 2/8, not {text!r}")
    return Part(k, count)


class PartRecord:
    """What a part holds, counted while its samples are chosen from the whole, and the note that proves it."""

    def __init__(self, part: Part, run: Run):
        self.part, self.run = part, run
        self.own, self.whole = SampleSum(), SampleSum()

    def takes(self, group: str, content: bytes) -> bool:
        """Whether a sample of the whole is in the part; it is counted. `content`: all that tells it apart from others."""
        mine = self.part.holds(group)
        self.whole.add(content)
        if mine:
            self.own.add(content)
        return mine

    def rows(self, rows: Iterable[Row], reader: RowReader) -> Iterator[Row]:
        """The rows of the part, of all rows.

        Raises: DataError where they are a part themselves.
        """
        for row in rows:
            if self.takes(row.group, compact_json(row)):
                yield row
        if reader.parts:
            raise DataError(f"{reader.name} is a part already ({note_part(reader.parts[0])})", "leave out --part: it stays that part")

    def note(self, written: int, inputs: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The note, once so many rows are written. inputs: digests of the models and tables that were used."""
        console.say(f"part {self.part}: {self.own.samples} of {self.whole.samples} samples")
        return {
            "htl": "part",
            "k": self.part.k,
            "of": self.part.count,
            "samples": self.own.samples,
            "left_out": self.own.samples - written,
            "digest": self.own.digest,
            "whole": self.whole.samples,
            "whole_digest": self.whole.digest,
            "job": job_digest(self.run, inputs),
        }


def candidates_of_part(candidates: Sequence[Candidate], record: PartRecord) -> list[Candidate]:
    """The candidates of a part, of all candidates."""
    return [each for each in candidates if record.takes(each.facts.group or each.id, compact_json(each.content()))]


def job_digest(run: Run, inputs: Mapping[str, str] | None, before: str = "") -> str:
    """A digest of what was done: the command, its parameters that can change a result, and digests of models and tables.

    before: the digest of the commands that the rows of the part come from.
    """
    job = [__version__, run.command, compared_parameters(run.lasting(run.parameters)), sorted((inputs or {}).values()), before]
    return hashlib.sha256(compact_json(job)).hexdigest()


def compared_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that are the same in all parts of a whole."""
    return {name: value for name, value in sorted(parameters.items()) if name not in FREE}


def write_part_note(
    writer: RowWriter, record: PartRecord | None, reader: RowReader | None, run: Run, inputs: Mapping[str, str] | None = None
) -> None:
    """Write the note of a part at the end of its rows: that of `record`, or else the one of the stream, which stays the part it was."""
    if record:
        writer.line(record.note(writer.rows, inputs))
    elif reader and len(reader.parts) == 1:
        note = reader.parts[0]
        writer.line(note | {"job": job_digest(run, inputs, note["job"])})


def note_part(note: Mapping[str, Any]) -> Part:
    """The part that a note is about."""
    return Part(note["k"], note["of"])
