"""Common names of columns, compared without capitals, blanks, points, hyphens and underscores."""

import re
from collections.abc import Iterable, Mapping, Sequence

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
HAS_BOX = "has_box"  # 1, or 0 where an image is known to hold none
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
    words = {*NAMES, *GROUPS, *SPLITS, *LABELS, *READERS, *CELLS, *RUNS, HAS_BOX, *(word for each in sets for word in each.split())}
    return plain(name) in {plain(word) for word in words}


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
