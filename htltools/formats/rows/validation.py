"""Checks of rows and notes: valid by the schema, with boxes that lie in their image."""

from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from htltools.errors import DataError
from htltools.formats.rows.schema import Sample

IS_SAMPLE = TypeAdapter(Sample).validator.isinstance_python  # faster than an instance of every row


def check_row(row: dict[str, Any], where: str) -> None:
    """Refuse a row that breaks the schema, or with a box that is empty or lies outside its image.

    Raises: DataError that begins with `where` (the source and the line).
    """
    if not IS_SAMPLE(row):
        check_schema(Sample, row, where)
    if "boxes" not in row:
        return
    if "size" not in row:
        raise DataError(f"{where} ({row['id']}): boxes without size", "boxes are in pixels of an image of size [width, height]")
    width, height = row["size"]
    for x0, y0, x1, y1 in row["boxes"]:
        if not (x0 < x1 and y0 < y1):
            raise DataError(
                f"{where} ({row['id']}): the box {[x0, y0, x1, y1]} is empty", "boxes are [x0, y0, x1, y1], x1 and y1 exclusive"
            )
        if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
            raise DataError(f"{where} ({row['id']}): the box {[x0, y0, x1, y1]} lies outside its image of {width}x{height}")


def check_schema(kind: type[BaseModel], value: dict[str, Any], where: str) -> None:
    """Refuse a row or note that breaks its schema.

    Raises: DataError that begins with `where` and names the first bad field.
    """
    try:
        kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{where}: {field}: {first['msg'].lower()}") from None
