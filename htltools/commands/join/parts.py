"""The proof that files are the parts of one whole: all of them, once each, and as they were written."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from htltools.commands.shared.parts import compared_parameters, note_part
from htltools.core.sampling.parts import Part, SampleSum
from htltools.errors import DataError, MissingInput
from htltools.formats.rows.stream import RowReader
from htltools.formats.rows.stream_checksum import check_stream_checksum
from htltools.formats.sources.open_rows import open_rows

NAMED = 12  # parts that an error names
WHOLE = "of", "whole", "whole_digest", "job"  # what the notes of all parts of one whole have in common


@dataclass(frozen=True)
class PartFile:
    """A file that holds a part: its note, the notes around its rows, and the number of these."""

    path: Path
    note: dict[str, Any]
    reader: RowReader
    rows: int

    @property
    def part(self) -> Part:
        """Which part it is."""
        return note_part(self.note)

    @property
    def whole(self) -> tuple:
        """What it is part of."""
        return tuple(self.note[name] for name in WHOLE)

    @property
    def samples(self) -> SampleSum:
        """The samples of the part."""
        return SampleSum(self.note["samples"], int(self.note["digest"], 16))

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the command that wrote it; empty where it kept no history."""
        return compared_parameters(self.reader.history[-1].get("parameters", {})) if self.reader.history else {}


def opened_parts(paths: Iterable[Path]) -> list[PartFile]:
    """The parts in files, each read once: as it was written, and with no row of another part.

    Raises: MissingInput; DataError for the first file that is cut, changed, or no part.
    """
    return [opened_part(path) for path in paths]


def opened_part(path: Path) -> PartFile:
    """The part in a file. Raises: as `opened_parts`."""
    if not path.exists():
        raise MissingInput(f"{path} is not there", "did its command fail? Run it again")
    if not path.is_file():
        raise DataError(f"{path} is no regular file", "parts are read twice: write each to a file")
    reader = open_rows(path)
    groups: set[str] = set()
    rows = 0
    for row in reader:
        rows += 1
        groups.add(row.group)
    if len(reader.parts) != 1:
        made = "make parts with --part k/N" if not reader.parts else "name the parts themselves"
        raise DataError(f"{path} holds {len(reader.parts) or 'no'} notes of parts, and one is expected", made)
    with path.open("rb") as file:
        check_stream_checksum(file, str(path))
    part = PartFile(path, reader.parts[0], reader, rows)
    stranger = next((group for group in sorted(groups) if not part.part.holds(group)), None)
    if stranger is not None:
        raise DataError(f"{path} is part {part.part}, and the group {stranger!r} belongs to another", "run the command of this part again")
    if rows + part.note["left_out"] != part.note["samples"]:
        cause = f"{path} has {rows} rows of the {part.note['samples'] - part.note['left_out']} of part {part.part}"
        raise DataError(cause, "run its commands again, without --limit or a filter between them")
    return part


def proved(files: Sequence[PartFile]) -> list[PartFile]:
    """The parts in their order, once it is sure that they are one whole.

    Raises: DataError naming all that are foreign, doubled and missing.
    """
    main = Counter(file.whole for file in files).most_common(1)[0][0]  # of equally many the first
    ours = [file for file in files if file.whole == main]
    wrong = [f"{file.path} is foreign: {difference(file, ours[0])}" for file in files if file.whole != main]
    by_number: dict[int, list[PartFile]] = {}
    for file in ours:
        by_number.setdefault(file.part.k, []).append(file)
    for _, same in sorted(by_number.items()):
        if len(same) > 1:
            wrong.append(f"part {same[0].part} is doubled: {' and '.join(str(file.path) for file in same)}")
    count = ours[0].part.count
    missing = [f"{k}/{count}" for k in range(1, count + 1) if k not in by_number]
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        wrong.append(f"missing: {', '.join(missing[:NAMED])}{more}")
    if wrong:
        remedy = "run the command again with --part of each missing one" if missing else "name each part of one whole once"
        raise DataError("; ".join(wrong[:NAMED]), remedy)
    parts = [by_number[k][0] for k in range(1, count + 1)]
    total, whole = reduce(add, (file.samples for file in parts)), SampleSum(ours[0].note["whole"], int(ours[0].note["whole_digest"], 16))
    if total != whole:
        raise DataError(f"the parts hold {total.samples} samples, and not the {whole.samples} of the whole", "run their commands again")
    return parts


def difference(file: PartFile, other: PartFile) -> str:
    """In which way a file is part of something else than another, in words."""
    if file.part.count != other.part.count:
        return f"part {file.part}, and {other.path} is part {other.part}"
    if file.whole[1:3] != other.whole[1:3]:
        counts = file.note["whole"], other.note["whole"]
        return "it belongs to other samples than " + (
            f"{other.path} ({counts[0]} and {counts[1]})" if len({*counts}) > 1 else f"{other.path}"
        )
    mine, theirs = file.parameters, other.parameters
    names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)] if mine and theirs else []
    if names:
        return ", ".join(f"--{name.replace('_', '-')} {mine.get(name)}, and {theirs.get(name)} in {other.path}" for name in names)
    return f"made by another command, version, model or table than {other.path}"
