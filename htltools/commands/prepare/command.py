"""`htl prepare`: images, masks and tables become rows and a store."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from htltools import __version__, console, options
from htltools.errors import UsageError


class OneBox(StrEnum):
    """What becomes of several boxes on an image."""

    largest, union, all = "largest", "union", "all"


class BoxFormat(StrEnum):
    """What the four columns of a box say."""

    xyxy, xywh = "xyxy", "xywh"


Sources = Annotated[
    list[str] | None, Argument(metavar="SOURCE", help="Folders, images, DICOM, or - for a list of paths on stdin.", show_default=False)
]
Out = Annotated[Path, Option("-o", "--out", metavar="DIR", help="Folder of the store.", show_default=False)]
Size = Annotated[str, Option("--size", metavar="N|HxW", help="Pixels of a stored image.")]
Table = Annotated[Path | None, Option("--table", metavar="CSV", help="Table of the images [SOURCE/metadata.csv].", show_default=False)]
Coco = Annotated[Path | None, Option("--coco", metavar="JSON", help="COCO annotations of the images.", show_default=False)]
Masks = Annotated[Path | None, Option("--masks", metavar="DIR", help="Folder of lesion masks [SOURCE/masks].", show_default=False)]
IdColumn = Annotated[str | None, Option("--id-column", metavar="NAME", help="Column of the image's name.", show_default=False)]
GroupColumn = Annotated[str | None, Option("--group-column", metavar="NAME", help="Column of the lesion or patient.", show_default=False)]
LabelColumn = Annotated[str | None, Option("--label-column", metavar="NAME", help="Column of the image's class.", show_default=False)]
SplitColumn = Annotated[str | None, Option("--split-column", metavar="NAME", help="Column of train, val or test.", show_default=False)]
BoxColumns = Annotated[
    list[str] | None,
    Option("--box-columns", metavar="[CLASS=]A,B,C,D", help="Columns of the box; repeat it for several.", show_default=False),
]
Format = Annotated[BoxFormat | None, Option("--box-format", help="What the columns of the box say.", show_default=False)]
BoxFrame = Annotated[str | None, Option("--box-frame", metavar="WxH", help="Frame of the table's boxes.", show_default=False)]
Splits = Annotated[str, Option("--splits", metavar="A,B,C", help="Shares of train, val and test where no table says it.")]
One = Annotated[OneBox, Option("--one-box", help="What to do with several boxes.")]
Keep = Annotated[bool, Option("--keep-unlabelled", help="Keep images without a usable box.")]
Labelled = Annotated[float, Option("--labelled", metavar="SHARE", min=0, max=1, help="Share of the training groups that keep boxes.")]
LabelSeed = Annotated[int, Option("--label-seed", metavar="N", min=0, help="Seed of --labelled.")]
IdKey = Annotated[Path | None, Option("--id-key", metavar="FILE", help="Key of DICOM ids [DIR.id-key].", show_default=False)]
Window = Annotated[str, Option("--window", metavar="auto|N|C/W|percentile", help="Window of grey DICOM images.")]
Strict = Annotated[bool, Option("--strict", help="Fail where a sample is left out.")]
Phantoms = Annotated[int | None, Option("--phantom", metavar="N", min=1, help="Make N synthetic images instead.", show_default=False)]
Limit = Annotated[int | None, Option("--limit", min=1, help="Use only the first N images.", show_default=False)]


@options.command
def prepare(
    run,
    out: Out,
    sources: Sources = None,
    size: Size = "96",
    table: Table = None,
    coco: Coco = None,
    masks: Masks = None,
    id_column: IdColumn = None,
    group_column: GroupColumn = None,
    label_column: LabelColumn = None,
    split_column: SplitColumn = None,
    box_columns: BoxColumns = None,
    box_format: Format = None,
    box_frame: BoxFrame = None,
    splits: Splits = "0.7,0.15,0.15",
    one_box: One = OneBox.all,
    keep_unlabelled: Keep = False,
    labelled: Labelled = 1.0,
    label_seed: LabelSeed = 0,
    window: Window = "auto",
    id_key: IdKey = None,
    strict: Strict = False,
    phantom: Phantoms = None,
    seed: options.Seed = 0,
    jobs: options.Jobs = 0,
    limit: Limit = None,
    force: options.Force = False,
):
    """Make rows and a store from images, masks and a table.

    \b
    htl prepare FOLDER -o store > rows.jsonl        images/ masks/ metadata.csv
    htl prepare images --table boxes.csv -o store | htl train -o dense.h5
    find . -name '*.png' | htl prepare - --coco boxes.json -o store
    htl prepare --phantom 2000 -o phantom           synthetic lesions
    htl prepare series --window 40/400 -o store     DICOM; segmentations among the files are masks

    Boxes come from masks where there are some, else from the table or the annotations. What cannot be used is left out,
    counted by reason, and listed in DIR/skips.jsonl; so is what looks wrong and is kept: the same pixels under two ids, boxes
    of everything or nothing, ages of 0, one word under several spellings. A run that was killed is taken up where it stopped.
    """
    from htltools.commands.prepare.decode import Work
    from htltools.commands.prepare.dicom import look_at_dicoms
    from htltools.commands.prepare.write import write_store
    from htltools.formats.dicom.windowing import checked_window
    from htltools.formats.files.lock import alone
    from htltools.formats.rows.provenance import file_digest
    from htltools.formats.sources.folders import Naming, find_candidates
    from htltools.formats.store.store import make_folder, plan_of
    from htltools.formats.tables.csv_table import Columns

    check_sources(sources, phantom, table, coco, masks)
    frame, box_frame_size = numbers(size, "--size", (1, 2)), numbers(box_frame, "--box-frame", (2,)) if box_frame else None
    columns = Columns(id_column, group_column, split_column, label_column, box_sets(box_columns), box_format and box_format.value)
    shares = split_shares(splits)
    findings = phantoms(phantom, seed) if phantom else find_candidates(sources, listed(sources), Naming(table, coco, masks, columns))
    look_at_dicoms(findings, id_key, out)
    candidates = findings.candidates = findings.candidates[:limit]
    ignore_after_exit(candidates, shares, seed)
    tell(findings)

    looks = one_box.value, box_frame_size, findings.labelled, keep_unlabelled, seed if phantom else 0
    work = Work((frame[0], frame[-1]), *looks, labelled, label_seed, checked_window(window))
    plan = plan_of({"htl": __version__, **vars(work)}, (candidate.stamp() for candidate in candidates))
    history = run.chain([], {name: file_digest(path) for name, path in findings.files.items()})
    make_folder(out)
    how = {"jobs": jobs, "force": force, "strict": strict}
    with alone(out / ".lock", out):
        kept, skips, doubtful = write_store(run, out, candidates, work, plan, history, findings.skips, **how)
    notable = [f"{len(lines)} {word}" for lines, word in ((skips, "left out"), (doubtful, "to look at")) if lines]
    console.say(f"{kept} samples in {out}" + (f", {', '.join(notable)}: see {out / 'skips.jsonl'}" if notable else ""))


def check_sources(sources, phantom, table, coco, masks):
    """Refuse calls with nothing to read, or with two kinds of things."""
    if not sources and not phantom:
        raise UsageError("nothing to prepare", "name a folder, or make synthetic images with --phantom N")
    if phantom and (sources or table or coco or masks):
        raise UsageError("--phantom makes its own images", "leave out the sources, or --phantom")
    if sources and "-" in sources and sys.stdin.isatty():
        raise UsageError("- expects a list of paths on stdin, which is a terminal")


def listed(sources):
    """The lines of stdin, where a source is `-`."""
    return [os.fsdecode(line) for line in sys.stdin.buffer.read().splitlines()] if "-" in sources else []


def phantoms(count, seed):
    """The candidates of so many synthetic images."""
    from htltools.core.synthetic.phantom import lesion_of
    from htltools.formats.sources.candidate import Candidate
    from htltools.formats.sources.folders import Findings
    from htltools.formats.tables.csv_table import Facts

    groups = [f"P{lesion_of(seed, i):05d}" for i in range(count)]
    return Findings([Candidate(f"phantom_{i:05d}", phantom=i, facts=Facts(group=group)) for i, group in enumerate(groups)], labelled=True)


def ignore_after_exit(candidates, shares, seed):
    """Give each candidate its split.

    Raises: DataError where the table puts one group into two.
    """
    from htltools.core.sampling.splits import settled_splits
    from htltools.formats.rows.row import Row
    from htltools.formats.rows.stream import check_groups

    check_groups(Row(id=c.id, group=c.facts.group, split=c.facts.split) for c in candidates)
    groups = [candidate.facts.group or candidate.id for candidate in candidates]
    for candidate, split in zip(candidates, settled_splits(groups, [c.facts.split for c in candidates], shares, seed), strict=True):
        candidate.split = split


def tell(findings):
    """Say what the tables and the images do not share."""
    if findings.unused_lines:
        console.say(f"{findings.unused_lines} names of the table are no image's")
    if findings.unlisted:
        console.say(f"{findings.unlisted} images stand in no line of the table")
    if findings.ignored_boxes:
        console.say("boxes are taken from the masks; those of the table are not used")


def numbers(text, flag, counts):
    """Positive whole numbers from "64" or "48x64".

    Raises: UsageError naming the flag.
    """
    from htltools.formats.rows.schema import FRAME

    parts = text.lower().split("x")
    if len(parts) not in counts or not all(part.isdecimal() and 0 < int(part) <= FRAME for part in parts):
        raise UsageError(f"{flag} takes {'N or HxW' if 1 in counts else 'WxH'} in pixels, not {text!r}")
    return tuple(int(part) for part in parts)


def box_sets(texts):
    """The class and the four columns of each --box-columns; the class is None where none is said."""
    sets = []
    for text in texts or ():
        name, equals, columns = text.rpartition("=")
        names = columns.split(",")
        if len(names) != 4 or (equals and not name):
            raise UsageError(f"--box-columns takes four names with commas in between, or CLASS= and these, not {text!r}")
        sets.append((name or None, names))
    if len(sets) > 1 and not all(name for name, _ in sets):
        raise UsageError("--box-columns that is given several times needs a class each", "such as left=x0,y0,x1,y1")
    return sets or None


def split_shares(text):
    """Shares of train, val and test."""
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        shares = []
    if len(shares) != 3 or min(shares) < 0 or not 0 < sum(shares) < float("inf"):
        raise UsageError(f"--splits takes three shares such as 0.7,0.15,0.15, not {text!r}")
    return shares
