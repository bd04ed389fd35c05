"""Rows as a folder that FiftyOne imports as `fiftyone.types.FiftyOneDataset`: PNG files, and hardness and boxes in samples.json.

It is written in the form of that format without a version, which names no class of FiftyOne's database and which every release reads.
"""

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from htltools.errors import CannotCreate, DataError, StorageError
from htltools.formats.files.atomic import refuse_existing, sync_folder
from htltools.formats.rows.fields import NESTED
from htltools.formats.rows.jsonlines import compact_json
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import OBJECT
from htltools.formats.store.shard import Images
from htltools.formats.tables.csv_export import csv_cell

ELSEWHERE = {
    *("id", "group", "split", "label", "size", "boxes", "labels", "predicted", "detected", "pseudo", "store", "index", "repeat"),
    *("source_folder", "mask_files", "corrected", "mask_outdated"),
}
BY = "htl view --to fiftyone"
# names of FiftyOne's own fields, and of fields written here
RESERVED = {
    "STRICT", "created_at", "filepath", "frames", "from_dict", "get_field", "get_field_schema", "groups", "id", "last_modified_at",
    "media_reference", "media_type", "metadata", "objects", "pk", "tags",
    "annotated", "group_id", "height", "label", "pseudo", "row_id", "width",
}  # fmt: skip
LONGEST = 2**63  # integers from here on do not fit its database


def refuse_folder(folder: Path, force: bool) -> None:
    """Refuse a folder that exists, and with `force` one that holds anything that `write_fiftyone` did not write.

    Raises: CannotCreate.
    """
    refuse_existing(folder, force)
    if folder.exists() and (folder.is_symlink() or not is_own_folder(folder)):
        raise CannotCreate(f"{folder} holds what htl did not write, and stays", "name another folder")


def is_own_folder(folder: Path) -> bool:
    """Whether a folder is empty, or holds the files that `write_fiftyone` wrote and no others."""
    if not folder.is_dir():
        return False
    try:
        by = json.loads((folder / "metadata.json").read_bytes())["info"]["by"]
        own = {sample["filepath"] for sample in json.loads((folder / "samples.json").read_bytes())["samples"]}
    except (OSError, ValueError, LookupError, TypeError):
        return not any(folder.iterdir())
    held = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}
    return by == BY and held <= own | {"metadata.json", "samples.json"}


def write_fiftyone(folder: Path, rows: Iterable[Row], history: Sequence[dict], *, force: bool = False) -> int:
    """Write rows and their images as a folder for FiftyOne, whole or not at all. The number of samples without an annotation.

    Raises: CannotCreate as `refuse_folder`, or where it cannot be written; StorageError; DataError as `Images` and `samples_of`.
    """
    once = [row for row in rows if not row.repeat]
    samples, images = samples_of(once), Images(once)
    folder = Path(os.path.abspath(folder))
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        (temporary / "data").mkdir(parents=True)
        for number, sample in enumerate(samples):
            Image.fromarray(images.batch(np.array([number]))[0]).save(temporary / sample["filepath"])
        # dataset.info takes no keys with a dot, hence the history as a text
        about = {"info": {"by": BY, "history": compact_json(list(history)).decode()}}
        (temporary / "metadata.json").write_bytes(compact_json(about))
        (temporary / "samples.json").write_bytes(compact_json({"samples": samples}))
        for path in temporary.rglob("*"):
            sync_folder(path)
        refuse_folder(folder, force)  # as it is now
        move_into_place(temporary, folder)
        sync_folder(folder.parent)
    except (FileNotFoundError, PermissionError, NotADirectoryError, FileExistsError) as error:
        raise CannotCreate(f"cannot create {folder} ({error.strerror or error})") from error
    except OSError as error:
        raise StorageError(f"cannot write {folder} ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return sum("annotated" not in sample for sample in samples)


def move_into_place(new: Path, folder: Path) -> None:
    """Rename a folder; the one that had the name is removed once the new one is there."""
    old = new.with_suffix(".old")
    if folder.exists():
        os.rename(folder, old)
    try:
        os.rename(new, folder)
    except OSError:
        if old.exists():
            os.rename(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def samples_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The samples of FiftyOne, one for each row.

    Raises: DataError where a row has boxes and no size.
    """
    digits = len(str(len(rows)))
    samples = []
    for number, (row, fields) in enumerate(zip(rows, plain_fields(rows))):
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", row.id)[:100]  # an id is the data's own: it must not lead out of the folder
        sample: dict[str, Any] = {
            "filepath": f"data/{number:0{digits}d}_{name}.png",
            "row_id": row.id,
            "tags": [row.split] if row.split else [],
        }
        if row.get("group") is not None:
            sample["group_id"] = row["group"]
        if row.size:
            sample["width"], sample["height"] = row.size
        if row.label is not None:
            sample["label"] = {"_cls": "Classification", "label": row.label}
        samples.append(sample | dict(detected_fields(row)) | fields)
    return samples


def detected_fields(row: Row) -> Iterator[tuple[str, dict]]:
    """The boxes of a row by field: annotated, pseudo, and those of each role."""
    if row.boxes is not None:
        yield "pseudo" if row.annotated_boxes is None else "annotated", detections(row, row.boxes, row.labels)
    for role, box in row.predicted.items():
        if role not in row.detected:
            yield field_name(role, "predicted"), detections(row, [box])
    for role, objects in row.detected.items():
        yield field_name(role, "detected"), detections(row, objects["boxes"], objects.get("labels"), objects.get("scores"))


def detections(row: Row, boxes: Sequence, labels: Sequence | None = None, scores: Sequence | None = None) -> dict[str, Any]:
    """Boxes in pixels as Detections, in shares of the image: [left, top, width, height].

    Raises: DataError where the row has no size.
    """
    if not boxes:
        return {"_cls": "Detections", "detections": []}
    if not row.size:
        raise DataError(f"the row {row.id!r} has no size", "rows need size [width, height] of the original image")
    labels, scores = (values if values and len(values) == len(boxes) else None for values in (labels, scores))
    width, height = row.size
    detected: list[dict[str, Any]] = []
    for number, (x0, y0, x1, y1) in enumerate(boxes):
        share = [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height]
        detected.append({"_cls": "Detection", "label": labels[number] if labels else OBJECT, "bounding_box": share})
        if scores:
            detected[-1]["confidence"] = float(scores[number])
    return {"_cls": "Detections", "detections": detected}


def plain_fields(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Hardness as floats, then metadata and unknown keys, of one type in each field: a dict for each row."""
    inner = [(outer, name) for outer in reversed(NESTED) for name in dict.fromkeys(n for row in rows for n in row.get(outer) or {})]
    own = [(None, name) for name in dict.fromkeys(n for row in rows for n in row) if name not in ELSEWHERE and name not in NESTED]
    by_row: list[dict[str, Any]] = [{} for _ in rows]
    taken = {field_name(role, key) for key in ("predicted", "detected") for row in rows for role in row.get(key) or {}}
    for outer, name in inner + own:
        values = [((row.get(outer) or {}) if outer else row).get(name) for row in rows]
        field = field_name(name, outer or "row")
        while field in taken:
            field = f"{outer or 'row'}_{field}"
        taken.add(field)
        for fields, value in zip(by_row, of_one_type(values, number=outer == "hardness")):
            if value is not None:
                fields[field] = value
    return by_row


def field_name(name: str, outer: str) -> str:
    """A name that FiftyOne accepts for a field: the user's own where possible."""
    plain = re.sub(r"[\W_]+", "_", name).rstrip("_")  # two underscores are a point to the library below FiftyOne
    return plain if plain[:1].isalpha() and plain not in RESERVED else f"{outer}_{plain.lstrip('_')}".rstrip("_")


def of_one_type(values: list[Any], number: bool) -> list[Any]:
    """Values of one type, as FiftyOne needs in a field: booleans, integers, floats, or else texts. None stays."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and all(abs(value) < LONGEST for value in values if isinstance(value, int)):
        return [None if value is None else float(value) if number or float in kinds else value for value in values]
    return values if kinds in ({bool}, {str}) else [None if value is None else csv_cell(value) for value in values]
