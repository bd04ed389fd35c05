"""The roles of the columns of a table: image names, groups, labels, splits, boxes, readers."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from htltools.errors import DataError, UsageError
from htltools.formats.csv.text import Table

# plain names, see `plain`, the usual ones first
NAMES = (
    *("image_path", "img_path", "file_path", "filepath", "path_to_image", "image_file_path", "path"),
    *("image_filename", "file_name", "filename", "image_file", "img_file", "file", "image_name", "img_name", "image_index", "isic_file"),
    *("image", "img", "image_id", "img_id", "imageid", "isic_id", "dicom_id", "sop_instance_uid", "slide_id", "patch_id"),
    *("external_id", "data_row_external_id", "id", "name"),
)
GROUPS = (
    *("group_id", "patient_id", "patient", "patient_number", "patient_no", "patient_uid", "patient_code", "pat_id", "pid"),
    *("subject_id", "subject", "participant_id", "participant", "person_id", "mrn", "donor_id", "case_id", "case", "case_no"),
    *("study_instance_uid", "study_uid", "study_id", "exam_id", "accession_number", "lesion_id", "lesion", "group"),
)
SPLITS = "split", "subset", "fold_name", "data_split", "dataset_split", "split_name", "partition", "set"
LABELS = (
    *("label", "dx", "diagnosis", "class_name", "category_name", "finding_label", "finding_labels", "finding_name", "class", "category"),
    *("target", "dx2017", "diagnosis_1", "pathology", "class_id", "category_id"),
)
READERS = "rad_id", "reader_id", "reader", "rater_id", "rater", "annotator_id", "annotator", "radiologist_id", "radiologist", "worker_id"
CELLS = "bbox", "bboxes", "box", "boxes", "bounding_box", "bounding_boxes", "bndbox", "bbox_xywh", "bbox_xyxy"
RUNS = "encoded_pixels", "rle", "rle_mask", "mask_rle", "encoding"
FORMATS = {
    "xyxy": (
        *("bbox_x0 bbox_y0 bbox_x1 bbox_y1", "x0 y0 x1 y1", "xmin ymin xmax ymax", "bbox_xmin bbox_ymin bbox_xmax bbox_ymax"),
        *("x1 y1 x2 y2", "bbox_x1 bbox_y1 bbox_x2 bbox_y2", "left top right bottom", "xtl ytl xbr ybr"),
    ),
    "xywh": (
        *("x y w h", "x y width height", "bbox_x bbox_y bbox_w bbox_h", "bbox_x bbox_y bbox_width bbox_height"),
        *("left top width height", "xmin ymin width height", "xmin ymin w h"),
    ),
    "cxcywh": ("x_center y_center width height", "cx cy w h", "cx cy width height", "center_x center_y width height"),
}
FRAMES = (
    *("image_width image_height", "img_width img_height", "original_width original_height", "width height", "img_w img_h"),
    *("image_w image_h", "originalimage[width height]"),
)
GROUPED = re.compile(r".*box\w*\s*[\[(]\s*(?=\w)(?!.*[\])])", re.IGNORECASE)  # the first of four columns under "Bbox [x,y,w,h]"
PARTS = re.compile(r"[\s_.-]+")
TRIED = 500  # names of a column with which its images are counted


@dataclass(frozen=True)
class Columns:
    """The columns and words that a person names; None: whatever is recognised; "none" or "": there is no such column."""

    id: str | None = None
    group: str | None = None  # names with commas in between are joined
    split: str | None = None
    label: str | None = None
    boxes: Sequence[tuple[str | None, Sequence[str]]] | None = None  # the class and the four columns, or the one, of each box of a line
    box_format: str | None = None  # xyxy, xywh, cxcywh, or voc: corners that count pixels from 1 and include the last
    missing: Sequence[str] = ()  # words for missing values, beside the usual ones
    split_words: Mapping[str, str | None] = field(default_factory=dict)  # the split that a word of the table means, None for none
    empty_when: Sequence[tuple[str, str]] = ()  # (column, word) of lines whose image holds no object
    readers: str | None = None  # union, first or majority: what to make of the boxes of several readers


@dataclass
class Roles:
    """The columns of each role in one table. boxes: class, columns and format of each box of a line."""

    id: str
    groups: list[str] = field(default_factory=list)
    split: str | None = None
    label: str | None = None
    boxes: list[tuple[str | None, list[str], str]] = field(default_factory=list)
    frame: list[str] = field(default_factory=list)  # width and height
    reader: str | None = None
    runs: str | None = None  # of run lengths

    @property
    def taken(self) -> set[str]:
        """The columns that have a field of their own in a row, or none at all."""
        one = {self.id, self.split, self.label, self.runs, self.reader, *self.frame, *self.groups[:1]} - {None}
        return {name for name in one if name} | {name for _, names, _ in self.boxes for name in names}


class ImagesByName(Protocol):
    """What is asked of `sources.names.ImageNames`, which a room of tables may not import."""

    def count(self, names: Iterable[str]) -> int:
        """How many of the names mean one image each."""
        ...


def plain(name: str) -> str:
    """The name of a column without blanks, underscores, points, hyphens and capitals.

    >>> plain("Patient ID"), plain("StudyInstanceUID") == plain("study_instance_uid")
    ('patientid', True)
    """
    return PARTS.sub("", name).casefold()


def plain_names(header: Sequence[str]) -> dict[str, str]:
    """The columns by their plain name, the first of each. Columns under one heading in brackets go without it.

    >>> plain_names(["Image Index", "Bbox [x", "y", "w", "h]"])
    {'imageindex': 'Image Index', 'x': 'Bbox [x', 'y': 'y', 'w': 'w', 'h': 'h]'}
    """
    names: dict[str, str] = {}
    within = False
    for name in header:
        first = GROUPED.match(name)
        within = bool(first) or within
        short = name[first.end() if first else 0 :]
        names.setdefault(plain(short.rstrip("])") if within else short), name)
        within = within and not name.endswith(("]", ")"))
    return names


def known(columns: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """The columns that have one of the names, in their order."""
    return list(dict.fromkeys(columns[key] for name in names if (key := plain(name)) in columns))


def has_role(name: str) -> bool:
    """Whether `prepare` reads a column of this name as more than metadata."""
    sets = (each for sets in (*FORMATS.values(), FRAMES) for each in sets)
    words = {*NAMES, *GROUPS, *SPLITS, *LABELS, *READERS, *CELLS, *RUNS, *(word for each in sets for word in each.split())}
    return plain(name) in {plain(word) for word in words}


def recognised_roles(table: Table, asked: Columns, images: ImagesByName | None = None, chosen: str | None = None) -> Roles:
    """The columns that are asked for, and for the other roles those of common names; `chosen`: the column of image names.

    Raises: DataError where one asked for is missing, or no column holds names of images.
    """
    columns = plain_names(table.header)
    roles = Roles(chosen or name_column(table, asked, images) or "")
    if not roles.id:
        raise DataError(f"{table.name} has no column of image names", "name it with --id-column")
    groups = asked_columns(table, asked.group, several=True)
    others = {key: name for key, name in columns.items() if name != roles.id}
    roles.groups = known(others, GROUPS) if groups is None else groups
    split = asked_columns(table, asked.split)
    roles.split = next(iter(known(others, SPLITS) if split is None else split), None)
    label = asked_columns(table, asked.label)
    roles.label = next(iter(known(others, LABELS) if label is None else label), None)
    roles.boxes = box_columns(table, columns, asked)
    boxed = {name for _, names, _ in roles.boxes for name in names}
    sets = (known(others, names.split()) for names in FRAMES) if roles.boxes else ()
    roles.frame = next((names for names in sets if len(names) == 2 and not boxed & set(names)), [])
    roles.reader = next(iter(known(others, READERS)), None)
    roles.runs = next(iter(known(others, RUNS)), None)
    return roles


def asked_columns(table: Table, asked: str | None, several: bool = False) -> list[str] | None:
    """The columns of a flag; None where the flag is not given.

    Raises: DataError where the table lacks one.
    """
    if asked is None or asked in table.header:
        return None if asked is None else [asked]
    names = [name for name in (asked.split(",") if several else [asked]) if name not in ("", "none")]
    check_columns(table, names)
    return names


def check_columns(table: Table, names: Iterable[str]) -> None:
    """Refuse names that are no columns.

    Raises: DataError.
    """
    for name in names:
        if name not in table.header:
            raise DataError(f"{table.name} has no column {name!r}", f"it has {', '.join(table.header)}")


def name_column(table: Table, asked: Columns, images: ImagesByName | None) -> str | None:
    """The column of image names: the one asked for; else of those with common names the first that fits nearly as many images as any
    does; else any column of names of images; None where there is none.

    Raises: DataError where the one asked for is missing.
    """
    if asked.id:
        check_columns(table, [asked.id])
        return asked.id
    common = known(plain_names(table.header), NAMES)
    if images is None:
        return next(iter(common), None)
    for names in common, [name for name in table.header if name not in common]:
        counts = {name: images.count(tried(table.cells[name])) for name in names}
        most = max(counts.values(), default=0)
        if most:
            return next(name for name in names if counts[name] * 2 >= most)
    return next(iter(common), None)


def tried(cells: Sequence[str]) -> list[str]:
    """Some of the distinct words of a column, evenly spaced."""
    distinct = sorted({cell for cell in cells if cell})
    return distinct[:: -(-len(distinct) // TRIED) or 1]


def box_columns(table: Table, columns: Mapping[str, str], asked: Columns) -> list[tuple[str | None, list[str], str]]:
    """Class, columns and format of each box of a line. A format is what the names of the columns say, but where one is asked for.

    Raises: DataError where a column asked for is missing; UsageError where there are neither four nor one.
    """
    if asked.boxes is not None:
        for _, names in asked.boxes:
            check_columns(table, names)
            if len(names) not in (1, 4):
                raise UsageError(f"a box has four columns, or one cell, not {','.join(names)}")
        short = {name: key for key, name in columns.items()}
        return [(kind, list(names), asked.box_format or format_of([short.get(n, plain(n)) for n in names])) for kind, names in asked.boxes]
    for box_format, sets in FORMATS.items():
        for names in sets:
            four = known(columns, names.split())
            if len(four) == 4:
                return [(None, four, asked.box_format or box_format)]
    prefixed = prefixed_sets(table.header)
    if prefixed:
        return [(kind, names, asked.box_format or box_format) for kind, names, box_format in prefixed]
    cells = [name for name in table.header if plain(re.split(r"[\[(]", name)[0]) in map(plain, CELLS)][:1]
    return [(None, cells, asked.box_format or format_of([plain(name) for name in cells]))] if cells else []


def format_of(names: Sequence[str]) -> str:
    """The format of the box that columns with these plain names hold; xyxy where their names do not say it, and in one cell xywh.

    >>> format_of(["x", "y", "width", "height"]), format_of(["a", "b", "c", "d"]), format_of(["bbox"]), format_of(["bbox[x1,y1,x2,y2]"])
    ('xywh', 'xyxy', 'xywh', 'xyxy')
    """
    if len(names) == 1:
        return "xyxy" if re.search(r"xyxy|x_?2|x_?max|x1.*y1", names[0]) else "xywh"
    sets = {tuple(map(plain, four.split())): box_format for box_format, fours in FORMATS.items() for four in fours}
    return sets.get(tuple(names), "xyxy")


def prefixed_sets(header: Sequence[str]) -> list[tuple[str, list[str], str]]:
    """Sets of columns such as left_lung_x0, left_lung_y0, left_lung_x1, left_lung_y1, with their common beginning as class.

    >>> prefixed_sets(["lung_x0", "lung_y0", "lung_x1", "lung_y1", "other_x0"])
    [('lung', ['lung_x0', 'lung_y0', 'lung_x1', 'lung_y1'], 'xyxy')]
    """
    lower: dict[str, str] = {}
    for name in header:
        lower.setdefault(name.lower(), name)
    for box_format, sets in FORMATS.items():
        for edges in (names.split() for names in sets):
            starts = [name[: -len(edges[0]) - 1] for name in lower if name.endswith(f"_{edges[0]}")]
            whole = [(start, [f"{start}_{edge}" for edge in edges]) for start in starts]
            complete = [(start, [lower[name] for name in names], box_format) for start, names in whole if set(names) <= set(lower)]
            if complete:
                return complete
    return []


def unlike(words: Collection[str], known_words: Collection[str]) -> list[str]:
    """The words that are none of the known ones, in any case of letters, sorted."""
    return sorted(word for word in words if word.casefold() not in known_words)
