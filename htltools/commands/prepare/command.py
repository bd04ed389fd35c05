"""`htl prepare`: images, masks and tables become rows and a store."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from htltools import options


class OneBox(StrEnum):
    """What becomes of several boxes on an image."""

    largest, union, all = "largest", "union", "all"


class Readers(StrEnum):
    """Whose boxes are kept where several readers marked an image."""

    union, first, majority = "union", "first", "majority"


class BoxFormat(StrEnum):
    """Corners, a corner or the centre with width and height, or corners as Pascal VOC counts them: from 1, the last pixel included."""

    xyxy, xywh, cxcywh, voc = "xyxy", "xywh", "cxcywh", "voc"


Sources = Annotated[
    list[str] | None, Argument(metavar="SOURCE", help="Folders, images, DICOM, or - for a list of paths on stdin.", show_default=False)
]

setting = partial(Option, rich_help_panel="Data")  # with a default to show
data = partial(setting, show_default=False)
table_flag = partial(Option, rich_help_panel="Table", show_default=False)
deal = partial(Option, rich_help_panel="Boxes and splits")
Table = Annotated[list[Path] | None, data("--table", metavar="CSV", help="Table of the images [SOURCE/metadata.csv]; may be repeated.")]
Files = Annotated[
    list[Path] | None, data("--annotations", "--coco", metavar="FILE", help="COCO, VOC, YOLO, CVAT or Label Studio files; may be repeated.")
]
Corrections = Annotated[
    Path | None, data("--corrections", metavar="FILE", help="Annotations that come back from a review: they replace all others.")
]
Masks = Annotated[Path | None, data("--masks", metavar="DIR", help="Folder of lesion masks [SOURCE/masks].")]
LesionValues = Annotated[str | None, data("--lesion-values", metavar="N,...", help="Values of masks that are lesions.")]
Window = Annotated[str, setting("--window", metavar="auto|N|C/W|percentile", help="Window of grey DICOM images.")]
IdKey = Annotated[Path | None, data("--id-key", metavar="FILE", help="Key of DICOM ids [DIR.id-key].")]
Limit = Annotated[int | None, data("--limit", min=1, help="Use only the first N images.")]
Phantoms = Annotated[int | None, data("--phantom", metavar="N", min=1, help="Make N synthetic images instead.")]

IdColumn = Annotated[str | None, table_flag("--id-column", metavar="NAME", help="Column of the image's name.")]
GroupColumn = Annotated[str | None, table_flag("--group-column", metavar="NAME,...", help="Columns of the lesion or patient, or none.")]
LabelColumn = Annotated[str | None, table_flag("--label-column", metavar="NAME", help="Column of the image's class.")]
SplitColumn = Annotated[str | None, table_flag("--split-column", metavar="NAME", help="Column of train, val or test, or none.")]
SplitMap = Annotated[str | None, table_flag("--split-map", metavar="WORD=SPLIT,...", help="Splits that its words mean.")]
Missing = Annotated[str | None, table_flag("--missing", metavar="WORD,...", help="More words for missing values.")]
EmptyWhen = Annotated[list[str] | None, table_flag("--empty-when", metavar="COLUMN=WORD", help="Lines whose image holds no object.")]
ReadersRule = Annotated[
    Readers | None, deal("--readers", help="Whose boxes to keep where an image has several readers.", show_default=False)
]
BoxColumns = Annotated[
    list[str] | None, table_flag("--box-columns", metavar="[CLASS=]A,B,C,D", help="Columns of the box; repeat it for several.")
]
Format = Annotated[BoxFormat | None, table_flag("--box-format", help="What the columns of the box say.")]
BoxFrame = Annotated[str | None, table_flag("--box-frame", metavar="WxH", help="Frame of the table's boxes.")]

One = Annotated[OneBox, deal("--one-box", help="What to do with several boxes.")]
Keep = Annotated[bool, deal("--keep-unlabelled", help="Keep images without a usable box.")]
Splits = Annotated[str, deal("--splits", metavar="A,B,C", help="Shares of train, val and test where no table says it.")]
Labelled = Annotated[float, deal("--labelled", metavar="SHARE", min=0, max=1, help="Share of the training groups that keep boxes.")]
LabelSeed = Annotated[int, deal("--label-seed", metavar="N", min=0, help="Seed of --labelled.")]

output = partial(Option, rich_help_panel="Output")
Out = Annotated[Path, output("-o", "--out", metavar="DIR", help="Folder of the store.", show_default=False)]
Size = Annotated[str, output("--size", metavar="N|HxW", help="Pixels of a stored image.")]
Strict = Annotated[bool, output("--strict", help="Fail where a sample is left out or looks wrong, or something is doubted.")]
Croissant = Annotated[
    Path | None, output("--croissant", metavar="FILE.json", help="Also describe the data set as Croissant.", show_default=False)
]


@options.command
def prepare(
    run,
    out: Out,
    sources: Sources = None,
    size: Size = "96",
    table: Table = None,
    annotations: Files = None,
    corrections: Corrections = None,
    masks: Masks = None,
    lesion_values: LesionValues = None,
    id_column: IdColumn = None,
    group_column: GroupColumn = None,
    label_column: LabelColumn = None,
    split_column: SplitColumn = None,
    split_map: SplitMap = None,
    missing: Missing = None,
    empty_when: EmptyWhen = None,
    readers: ReadersRule = None,
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
    croissant: Croissant = None,
    phantom: Phantoms = None,
    seed: options.Seed = 0,
    jobs: options.Jobs = 0,
    ray: options.RayAddress = None,
    limit: Limit = None,
    part: options.PartText = None,
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
    of everything or nothing, images of one value, masks read by a guess, ages of 0, one word under several spellings. A run
    that was killed is taken up where it stopped. --croissant describes the data set for tools that load Croissant.
    With --part 2/8 only an eighth of the groups is prepared, in a folder of its own. --ray makes the shards on a Ray cluster.
    """
    from htltools.commands.prepare import flags, messages
    from htltools.commands.prepare.decode import Settings
    from htltools.commands.prepare.describe import describe, refuse_croissant
    from htltools.commands.prepare.gather import assign_splits, correct, gather, gather_phantoms
    from htltools.commands.prepare.understanding import doubts_of, understanding
    from htltools.commands.prepare.write import Store, write_store
    from htltools.commands.shared.parts import PartRecord, parsed_part
    from htltools.commands.shared.ray_connection import ray_cluster
    from htltools.formats.dicom.windowing import checked_window
    from htltools.formats.files.lock import exclusive
    from htltools.formats.rows.provenance import file_digest
    from htltools.formats.sources.folders import Naming
    from htltools.formats.store.store import make_folder
    from htltools.formats.tables.csv_table import Columns

    record = PartRecord(mine, run) if (mine := parsed_part(part)) else None
    if croissant:
        refuse_croissant(croissant, force)
    flags.check_sources(sources, phantom, [*(table or []), *(annotations or []), corrections, masks])
    frame, box_size, shares = flags.stored_frame(size), flags.table_frame(box_frame), flags.split_shares(splits)
    boxes, window, values = flags.box_sets(box_columns), checked_window(window), flags.lesion_values(lesion_values)
    columns = Columns(
        *(id_column, group_column, split_column, label_column, boxes, box_format and box_format.value),
        missing=flags.words(missing),
        split_words=flags.split_words(split_map),
        empty_when=flags.column_words(empty_when),
        readers=readers and readers.value,
    )

    if phantom:
        findings = gather_phantoms(phantom, seed, limit)
    else:
        naming = Naming(table or (), annotations or (), masks, columns)
        findings = gather(sources or [], naming, id_key=id_key, out=out, limit=limit, part=record is not None)
    review = correct(findings, corrections) if corrections else None
    messages.say_sources(findings)
    assign_splits(findings, shares, seed)
    understood = understanding(findings, shares, seed)
    doubts = doubts_of(findings, understood)
    messages.say_understanding(understood, doubts)
    flags.refuse_doubts(doubts, strict)
    if record:
        findings.keep_part(record)

    boxed = findings.sources.labelled
    drawn = seed if phantom else 0
    settings = Settings(
        frame, one_box.value, box_size, boxed, keep_unlabelled, drawn, labelled, label_seed, window, values, review.by if review else ""
    )
    inputs = {name: file_digest(path) for name, path in findings.sources.files.items()}
    history = run.chain([], inputs, understood=understood)
    make_folder(out)
    store = Store(out, findings.candidates, settings, history)
    with exclusive(out / ".lock", out), ray_cluster(ray, jobs=jobs) as cluster:
        write_store(run, store, findings, review, record, inputs, cluster=cluster, jobs=jobs, force=force, strict=strict)
    messages.say_store(findings, out)
    if croissant:
        describe(croissant, out, findings.kept)
