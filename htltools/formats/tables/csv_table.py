"""Tables of images: a CSV of names, groups, splits, labels, boxes and metadata, or several."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from htltools.errors import DataError
from htltools.formats.csv.boxes import Boxes, are_shares, boxes_of, doubts_of_boxes
from htltools.formats.csv.cells import metadata
from htltools.formats.csv.column_names import plain
from htltools.formats.csv.groups import connected_groups, likely_groups
from htltools.formats.csv.images import ImageNames, declared_frames, restored_names, rows_by_image
from htltools.formats.csv.joins import joined
from htltools.formats.csv.readers import agreed_boxes
from htltools.formats.csv.roles import Columns, Roles, recognised_roles
from htltools.formats.csv.run_lengths import runs_of
from htltools.formats.csv.text import Table, read_text, some_of
from htltools.formats.csv.words import empty_rows, splits_of
from htltools.formats.files.collecting import without_collecting
from htltools.formats.rows.schema import OBJECT
from htltools.formats.tables.facts import SPLIT_WORDS, Annotations, Facts


def read_table(path: Path, asked: Columns = Columns(), images: ImageNames | None = None) -> Annotations:
    """What a table says of images, by their names as they are written there. Several lines of one image are several boxes.

    images: those that the names may mean; the column of names is then the one that fits them.

    Raises: MissingInput; DataError where the file is no table, lacks a column asked for, or holds a bad box or split.
    """
    return read_tables([path], asked, images)


def read_tables(paths: Sequence[Path], asked: Columns = Columns(), images: ImageNames | None = None) -> Annotations:
    """What several tables say together, see `read_table` and `joins.joined`.

    Raises: MissingInput, DataError.
    """
    with without_collecting():
        table, column = joined([read_text(path, asked.missing) for path in paths], asked, images)
        return TableReader(table, recognised_roles(table, asked, images, column), asked, images).annotations(paths[0])


@dataclass
class TableReader:
    """The lines of a table on their way to facts, and what is to be said of them."""

    table: Table
    roles: Roles
    asked: Columns
    images: ImageNames | None
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    by_image: dict[str, list[int]] = field(default_factory=dict)  # rows of each image
    facts: list[Facts] = field(default_factory=list)  # of each image, in the same order
    repeated: int = 0  # boxes that stand twice
    several: list[str] = field(default_factory=list)  # images that several readers looked at

    def annotations(self, path: Path) -> Annotations:
        """All that the table says."""
        table, roles = self.table, self.roles
        names, example = restored_names(table.cells[roles.id], self.images)
        if example:
            self.doubts.append(f"{roles.id} of {table.name} has lost its leading zeros: {example}")
        self.by_image = rows_by_image(names, self.images)
        rows = [row for row, name in enumerate(names) if name]
        nameless = [table.lines[row] for row, name in enumerate(names) if not name]
        splits = self.splits(rows)
        boxes, kinds = self.boxes()
        runs = self.runs()

        self.read_objects(boxes, kinds, runs, self.empty(boxes, runs, rows))
        self.read_frames(boxes)
        self.name_classes()
        self.read_groups(splits)
        self.read_metadata(boxes)
        return Annotations(
            source=table.name,
            facts=dict(zip(self.by_image, self.facts, strict=True)),
            path=path,
            boxed=bool(roles.boxes or runs),
            roles=roles.described(),
            unused=self.unused,
            left_out=[{"id": f"line {line}", "source": table.name, "reason": f"no {roles.id}"} for line in nameless],
            doubts=self.doubts,
            notes=table.notes + self.notes,
        )

    def splits(self, rows: Sequence[int]) -> list[str | None] | None:
        """The split of each row; None where there is no column of splits."""
        if not self.roles.split:
            return None
        splits, doubts = splits_of(self.table, self.roles.split, self.asked, SPLIT_WORDS, rows)
        self.doubts += doubts
        self.roles.split = self.roles.split if splits else None
        return splits

    def boxes(self) -> tuple[Boxes, list[list[str | None]]]:
        """The boxes of each row, and the class that its columns give each, or None."""
        boxes: Boxes = [[] for _ in self.table.lines]
        kinds: list[list[str | None]] = [[] for _ in self.table.lines]
        for kind, names, box_format in self.roles.boxes:
            for row, own in enumerate(boxes_of(self.table, names, box_format)):
                boxes[row] += own
                kinds[row] += [kind] * len(own)
        return boxes, kinds

    def runs(self) -> list[list[int] | None] | None:
        """The run lengths of each row, None where a cell is empty; None where the column holds something else."""
        if not self.roles.runs:
            return None
        runs, said, certain = runs_of(self.table.cells[self.roles.runs])
        if said:
            notes = self.notes if certain or plain(self.roles.runs) == "encoding" else self.doubts
            notes.append(f"{self.roles.runs} of {self.table.name} {said}")
        if runs is None:
            self.unused.append(self.roles.runs)
            self.roles.runs = None
        return runs

    def empty(self, boxes: Boxes, runs: list[list[int] | None] | None, rows: Sequence[int]) -> set[int]:
        """The rows that say that their image holds no object."""
        if not self.roles.boxes and not runs and not self.asked.empty_when:
            return set()
        empty, notes = empty_rows(self.table, self.asked, self.roles.has_box, [bool(own) for own in boxes], rows)
        self.notes += notes
        return empty | {row for row, own in enumerate(runs or ()) if own == []}

    def read_objects(self, boxes: Boxes, kinds: list[list[str | None]], runs: list[list[int] | None] | None, empty: set[int]) -> None:
        """Make the facts of each image, with its boxes or outlines, and the class of each. Equal boxes are one."""
        words = self.table.cells[self.roles.label] if self.roles.label else [""] * len(self.table.lines)
        readers = self.table.cells[self.roles.reader] if self.roles.reader else [""] * len(self.table.lines)
        for name, own in self.by_image.items():
            marked = [
                (tuple(box), kind or words[row] or OBJECT, readers[row])
                for row in own
                for box, kind in zip(boxes[row], kinds[row], strict=True)
            ]
            distinct = list(dict.fromkeys(marked)) if len(marked) > 1 else marked
            self.repeated += len(marked) - len(distinct)
            objects = [(list(box), kind) for box, kind, _ in distinct]
            if len(own) > 1 and len(looked := {readers[row] for row in own} - {""}) > 1:
                self.several.append(name)
                objects = agreed_boxes(distinct, looked, self.asked.readers or "union")
            outlines: list[tuple[Any, str]] = [({"runs": runs[row]}, words[row] or OBJECT) for row in own if runs[row]] if runs else []
            none = bool(marked) or not empty.isdisjoint(own)  # marked, but by too few readers; or said to be empty
            self.facts.append(
                Facts(
                    boxes=[box for box, _ in objects] or ([] if none and not outlines else None),
                    labels=[kind for _, kind in objects or outlines] or None,
                    outlines=[outline for outline, _ in outlines] or None,
                )
            )
        if self.repeated:
            self.notes.append(f"boxes of {self.table.name} that stand twice, and count once: {self.repeated}")
        if self.several:
            said = f"{some_of(self.several)} of {self.table.name} have several readers ({self.roles.reader})"
            if self.asked.readers:
                self.notes.append(f"{said}: --readers {self.asked.readers}")
            else:
                self.doubts.append(
                    f"{said}: all objects are kept, those that overlap by half as one (--readers union); see --readers majority and first"
                )

    def read_frames(self, boxes: Boxes) -> None:
        """Find the frame of the boxes, and say what looks wrong in them."""
        every = np.array(list(chain(*boxes))).reshape(-1, 4)
        shares = are_shares(every)
        if shares:
            self.notes.append(f"boxes of {self.table.name} are read as shares of the image's sides: none is larger than 1")
        frames, doubt = declared_frames(self.table, [] if shares else self.roles.frame, self.by_image, boxes)
        self.doubts += [doubt] if doubt else []
        sides = np.full((len(boxes), 2), np.nan)
        for facts, own, frame in zip(self.facts, self.by_image.values(), frames, strict=True):
            facts.frame, facts.shares = frame, shares
            if frame:
                sides[own] = frame
        for _, names, box_format in self.roles.boxes[:1]:
            of_box = [row for row, own in enumerate(boxes) for _ in own]
            self.doubts += [] if shares else doubts_of_boxes(every, box_format, self.table.name, sides[of_box])
            if len(names) == 1 and box_format == "xywh" and not self.asked.box_format:
                self.notes.append(f"{names[0]} of {self.table.name} is read as x, y, width, height; --box-format xyxy reads corners")

    def name_classes(self) -> None:
        """Keep the class of each box where one image has several, or columns name them."""
        several = any(len(set(facts.labels or ())) > 1 for facts in self.facts) or any(kind for kind, _, _ in self.roles.boxes)
        for facts in self.facts if not several else ():
            facts.labels = None

    def read_groups(self, splits: list[str | None] | None) -> None:
        """Find the group and the split of each image.

        Raises: DataError where its lines name several splits.
        """
        cells, of_row = self.table.cells, [0] * len(self.table.lines)
        for number, own in enumerate(self.by_image.values()):
            for row in own:
                of_row[row] = number
        rows = sorted(chain(*self.by_image.values()))
        columns = {name: [cells[name][row] for row in rows] for name in self.roles.groups}
        groups, self.roles.groups, doubts = connected_groups([of_row[row] for row in rows], columns, len(self.facts), self.table.name)
        self.doubts += doubts
        if not self.roles.groups:
            others = {name: cells[name] for name in self.table.header if name not in self.roles.taken}
            if likely := likely_groups(others, len(self.facts)):
                self.notes.append(f"{self.table.name} has no column of groups; --group-column may name one: {', '.join(likely)}")
        for facts, group, (name, own) in zip(self.facts, groups, self.by_image.items(), strict=True):
            facts.group = group
            given = {splits[row] for row in own} - {None} if splits else set()
            if len(given) > 1:
                second = next(row for row in own if splits and splits[row] not in (None, splits[own[0]]))
                raise DataError(f"{self.table.place(second)}: {name!r} has another split than before")
            facts.split = given.pop() if given else None

    def read_metadata(self, boxes: Boxes) -> None:
        """Fill in labels and metadata; a value that differs between the lines of an image is left out and said."""
        label = self.roles.label
        others = [name for name in self.table.header if name not in (*self.roles.taken, *self.unused)]
        values = {name: metadata(name, self.table.cells[name]) for name in others}
        words = {word: word for word in set(self.table.cells[label])} if label else {}
        differing: dict[str, list[str]] = {}
        for facts, (name, own) in zip(self.facts, self.by_image.items(), strict=True):
            if label:
                given = {words[self.table.cells[label][row]] for row in own} - {""}
                facts.label = given.pop() if len(given) == 1 else None
                if given and not facts.outlines and not all(boxes[row] or not self.table.cells[label][row] for row in own):
                    differing.setdefault(label, []).append(name)
            for column, cells in values.items():
                distinct = {cells[row] for row in own} - {None}
                if len(distinct) == 1:
                    facts.meta[column] = distinct.pop()
                elif distinct:
                    differing.setdefault(column, []).append(name)
        for column, images in differing.items():
            lines = f"lines of {some_of(images)} of {self.table.name} differ in {column}, which is left out for them"
            apart = column == label or not all(sum(bool(boxes[row]) for row in self.by_image[name]) > 1 for name in images)
            (self.doubts if apart else self.notes).append(lines)
