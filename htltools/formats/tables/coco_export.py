"""Rows as a COCO data set: images, annotations, and labels as categories; other fields become keys of an image."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from htltools.formats.files.atomic import replacing
from htltools.formats.rows.jsonlines import compact_json
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import OBJECT

KEPT = "group", "split", "label", "labels", "meta", "hardness", "weight"  # fields of a row that become keys of its image


def write_coco(path: Path, rows: Sequence[Row], names: Sequence[str] | None = None) -> int:
    """Write rows as a COCO data set, whole or not at all. The number of images without an annotation. names: see `coco_dataset`.

    Raises: CannotCreate, StorageError.
    """
    content = coco_dataset(rows, names)
    with replacing(path) as temporary:
        temporary.write_bytes(compact_json(content))
    return sum(not image["annotated"] for image in content["images"])


def coco_dataset(rows: Sequence[Row], names: Sequence[str] | None = None) -> dict[str, list]:
    """Rows as a COCO data set. Images are numbered from 1 in the order of the rows, and a repeated row is one image.

    `file_name` is the one of `names`, of rows that are no repeats, or as `file_names` says. `annotated` is false for images without
    annotation, and for those whose boxes are a model's predictions (`pseudo`).
    """
    once = [row for row in rows if not row.repeat]
    names = names or file_names(once)
    categories = {name: number for number, name in enumerate(sorted({name for row in once for name in category_names(row)}), 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (row, file_name) in enumerate(zip(once, names, strict=True), 1):
        image: dict[str, Any] = {"id": number, "file_name": file_name} | dict(zip(("width", "height"), row.size or ()))
        boxes = row.annotated_boxes
        images.append(image | {"annotated": boxes is not None} | {name: row[name] for name in KEPT if row.get(name) is not None})
        for (x0, y0, x1, y1), name in zip(boxes or (), category_names(row)):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": categories[name],
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                }
            )
    return {"images": images, "annotations": annotations, "categories": [{"id": n, "name": name} for name, n in categories.items()]}


def file_names(rows: Sequence[Row]) -> list[str]:
    """A name for the image of each row, no two the same: its key `file_name`, else its `file`, else its id. Of files of one name in several
    sources each has the name of its source before it."""
    names = [str(row.get("file_name") or row.file or row.id) for row in rows]
    return unique_names(names, [os.path.basename(row.get("source_folder") or "") for row in rows])


def unique_names(names: Sequence[str], folders: Sequence[str]) -> list[str]:
    """The names, those that several have in their folder, and in one of their number where that does not tell them apart.

    >>> unique_names(["a.png", "a.png", "b.png"], ["one", "two", "two"]), unique_names(["a.png", "a.png"], ["one", "one"])
    (['one/a.png', 'two/a.png', 'b.png'], ['1/one/a.png', '2/one/a.png'])
    """
    for befores in folders, [str(number) for number in range(1, len(names) + 1)]:
        counts = Counter(names)
        names = [f"{before}/{name}" if counts[name] > 1 and before else name for before, name in zip(befores, names, strict=True)]
    return list(names)


def category_names(row: Row) -> list[str]:
    """The category of each annotated box: its class, or else the label of the image."""
    return row.labels or [row.label or OBJECT] * len(row.annotated_boxes or ())
