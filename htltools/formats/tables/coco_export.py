"""Rows as a COCO data set: images, annotations, and labels as categories; other fields become keys of an image."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from htltools.formats.files.atomic import replacing
from htltools.formats.rows.jsonlines import compact_json
from htltools.formats.rows.row import Row
from htltools.formats.rows.schema import OBJECT

KEPT = "group", "split", "label", "labels", "meta", "hardness", "weight"  # fields of a row that become keys of its image


def write_coco(path: Path, rows: Iterable[Row]) -> int:
    """Write rows as a COCO data set, whole or not at all. The number of images without an annotation.

    Raises: CannotCreate, StorageError.
    """
    content = coco_dataset(rows)
    with replacing(path) as temporary:
        temporary.write_bytes(compact_json(content))
    return sum(not image["annotated"] for image in content["images"])


def coco_dataset(rows: Iterable[Row]) -> dict[str, list]:
    """Rows as a COCO data set. Images are numbered from 1 in the order of the rows, and a repeated row is one image.

    `file_name` is that of the row, its `file` or its id. `annotated` is false for images without annotation, and for those whose boxes
    are a model's predictions (`pseudo`).
    """
    once = [row for row in rows if not row.repeat]
    names = sorted({name for row in once for name in category_names(row)})
    categories = {name: number for number, name in enumerate(names, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, row in enumerate(once, 1):
        image: dict[str, Any] = {"id": number, "file_name": row.get("file_name", row.get("file", row.id))} | dict(
            zip(("width", "height"), row.size or ())
        )
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


def category_names(row: Row) -> list[str]:
    """The category of each annotated box: its class, or else the label of the image."""
    return row.labels or [row.label or OBJECT] * len(row.annotated_boxes or ())
