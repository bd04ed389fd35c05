"""Croissant: a description of a prepared data set in the vocabulary of schema.org, which other tools find and load data sets by.

The rows lie beside it once more as plain JSON, without notes, each with every field, so that the description's paths find all of them.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from htltools.errors import HtlError, UsageError
from htltools.formats.files.atomic import replacing
from htltools.formats.rows.provenance import file_digest
from htltools.formats.rows.row import Row
from htltools.formats.store.shard import read_shard

ROWS = "rows"  # the file of rows, by its name in the description
IMAGES = "images"  # the set of records
FIELDS = {  # field of the rows: where it lies in a row, and its type in `mlcroissant.DataType`
    "id": ("id", "TEXT", "The name of the image."),
    "group": ("group", "TEXT", "What is never divided between splits, such as a patient."),
    "split": ("split", "TEXT", "train, val or test."),
    "label": ("label", "TEXT", "The class of the image."),
    "file": ("file", "TEXT", "The original image."),
    "width": ("size[0]", "INTEGER", "Of the original image, in pixels."),
    "height": ("size[1]", "INTEGER", "Of the original image, in pixels."),
    "boxes": ("boxes", "BOUNDING_BOX", "x0, y0, x1, y1 in pixels of the original image, the end exclusive; null: not annotated."),
    "labels": ("labels", "TEXT", "The class of each box."),
    "store": ("store", "TEXT", "The HDF5 file that holds the image, uint8, in its dataset `images`."),
    "index": ("index", "INTEGER", "The place of the image there."),
}
REPEATED = {"boxes", "labels"}


def rows_path(path: Path) -> Path:
    """The file of rows beside a description."""
    return path.with_suffix(".rows.json")


def check_installed() -> None:
    """Refuse a description where the library that checks it is not installed.

    Raises: UsageError.
    """
    if find_spec("mlcroissant") is None:
        raise UsageError("--croissant needs mlcroissant, which is not installed", "pip install 'htltools[croissant]'")


def write_croissant(path: Path, shards: Sequence[Path], name: str, description: str) -> list[str]:
    """Write the description of the samples of some shards, and their rows beside it; the names of fields of `meta` that are left out.

    Raises: CannotCreate, StorageError; HtlError where mlcroissant finds the description wrong.
    """
    rows = [row for shard in shards for row in map(Row, read_shard(shard)[0])]
    kinds = {key: kind for key in meta_keys(rows) if (kind := kind_of([(row.meta or {}).get(key) for row in rows])) and '"' not in key}
    present = {key: own for key, own in FIELDS.items() if key in ("width", "height") or any(key in row for row in rows)}
    with replacing(rows_path(path)) as temporary:
        temporary.write_text(json.dumps([plain(row, kinds, path.parent) for row in rows], allow_nan=False), "utf-8")
        text = json.dumps(described(path, temporary, shards, name, description, present, kinds), indent=1, default=str)
        with replacing(path) as described_at:
            described_at.write_text(text + "\n", "utf-8")
    return [key for key in meta_keys(rows) if key not in kinds]


def meta_keys(rows: Sequence[Row]) -> list[str]:
    """The fields of `meta` of some rows."""
    return list(dict.fromkeys(key for row in rows for key in row.meta or {}))


def kind_of(values: Sequence[Any]) -> str | None:
    """The type of values in `mlcroissant.DataType`, by name; None where they are of several kinds, or lists.

    >>> kind_of([1, None]), kind_of([1, 2.5]), kind_of(["a"]), kind_of([True]), kind_of([1, "a"])
    ('INTEGER', 'FLOAT', 'TEXT', 'BOOL', None)
    """
    kinds = {type(value) for value in values if value is not None}
    names = {(int,): "INTEGER", (float,): "FLOAT", (float, int): "FLOAT", (str,): "TEXT", (bool,): "BOOL"}
    return names.get(tuple(sorted(kinds, key=lambda kind: kind.__name__)))


def plain(row: Mapping[str, Any], kinds: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """A row with all fields of the description; its store as seen from the folder of the description."""
    keys = dict.fromkeys(where.partition("[")[0] for where, _, _ in FIELDS.values())
    values = {key: row.get(key) for key in keys}
    values["size"] = row.get("size") or [None, None]
    values["store"] = relative(Path(row["store"]), folder) if row.get("store") else None
    return values | {"meta": {key: (row.get("meta") or {}).get(key) for key in kinds}}


def relative(path: Path, folder: Path) -> str:
    """A path as seen from a folder, with slashes."""
    return Path(os.path.relpath(path, folder)).as_posix()


def described(
    path: Path,
    rows: Path,
    shards: Sequence[Path],
    name: str,
    description: str,
    present: Mapping[str, tuple[str, str, str]],
    kinds: Mapping[str, str],
) -> dict[str, Any]:
    """The description as JSON-LD. rows: where the file of rows lies for now; present: fields of the rows; kinds: of `meta`, with types."""
    import mlcroissant as mlc

    context = mlc.Context(conforms_to="http://mlcommons.org/croissant/1.0")

    def fields() -> Iterator[Any]:
        of_meta = {f"meta.{key}": (f'meta."{key}"', kind, f"{key}, of the table of the images.") for key, kind in kinds.items()}
        for key, (where, kind, text) in {**present, **of_meta}.items():
            source = mlc.Source(ctx=context, file_object=ROWS, extract=mlc.Extract(ctx=context, json_path=f"$[*].{where}"))
            yield mlc.Field(
                ctx=context,
                id=f"{IMAGES}/{quote(key, safe='.')}",
                name=key,
                description=text,
                data_types=[getattr(mlc.DataType, kind)],
                source=source,
                repeated=key in REPEATED or None,
            )

    def file(identity: str, url: str, at: Path, kind: str, text: str) -> Any:
        return mlc.FileObject(
            ctx=context,
            id=identity,
            name=identity,
            description=text,
            content_url=url,
            content_size=f"{at.stat().st_size} B",
            encoding_formats=[kind],
            sha256=file_digest(at),
        )

    files = [file(ROWS, rows_path(path).name, rows, "application/json", "A row for each image.")]
    files += [file(shard.name, relative(shard, path.parent), shard, "application/x-hdf5", "Images and lesion masks.") for shard in shards]
    records = mlc.RecordSet(ctx=context, id=IMAGES, name=IMAGES, key=[f"{IMAGES}/id"], fields=list(fields()))
    try:
        whole = mlc.Metadata(ctx=context, name=name, description=description, distribution=files, record_sets=[records])
        return whole.to_json()
    except (mlc.ValidationError, ValueError) as error:
        raise HtlError(f"mlcroissant finds the description wrong: {' '.join(str(error).split())}") from None
