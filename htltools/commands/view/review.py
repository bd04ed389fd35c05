"""The images of a COCO data set, for a review in another program: copies of the originals."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from htltools import console
from htltools.errors import CannotCreate, DataError, StorageError
from htltools.formats.images.originals import original_path
from htltools.formats.rows.row import Row
from htltools.formats.store.shard import Images
from htltools.formats.tables.coco_export import unique_names

SHOWN = 3  # ids that a sentence names


def copied_images(rows: Sequence[Row], folder: Path, originals: Path | None) -> list[str]:
    """Copy the original image of each row that is no repeat into a folder: their names in it. Where there is none, as of synthetic
    and DICOM images, the stored image takes its place, enlarged to the size of the original, so that boxes fit.

    Raises: CannotCreate, StorageError; DataError where a row has neither an original, nor a stored image and a size.
    """
    rows = [row for row in rows if not row.repeat]
    paths = [original_path(row, originals) for row in rows]
    names = [inside(row.file or row.id) if path else f"{os.path.splitext(inside(row.file))[0] if row.file else inside(row.id)}.png"
             for row, path in zip(rows, paths)]  # fmt: skip
    names = unique_names(names, [os.path.basename(row.get("source_folder") or "") for row in rows])
    try:
        for row, path, name in zip(rows, paths, names):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if path:
                shutil.copyfile(path, target)
            else:
                enlarged(row).save(target)
    except (FileNotFoundError, PermissionError, NotADirectoryError, FileExistsError) as error:
        raise CannotCreate(f"cannot write into {folder} ({error.strerror or error})") from error
    except OSError as error:
        raise StorageError(f"cannot write into {folder} ({error.strerror or error})") from error
    lost = [row.id for row, path in zip(rows, paths) if path is None]
    console.say(f"{folder}: {len(rows) - len(lost)} original images")
    if lost:
        more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
        remedy = "; --originals DIR says where they lie now" if any(row.file for row in rows) else ""
        console.say(f"{len(lost)} have no original, and come as enlarged copies of the store: {', '.join(lost[:SHOWN])}{more}{remedy}")
    return names


def inside(name: str) -> str:
    """A name as a path that leads nowhere but into a folder.

    >>> inside("/data/../a/b.png"), inside("..")
    ('data/a/b.png', 'image')
    """
    return "/".join(part for part in PurePath(name).parts if part not in ("..", ".", os.sep)) or "image"


def enlarged(row: Row) -> Image.Image:
    """The stored image of a row in the size of its original.

    Raises: DataError where the row does not say it.
    """
    if not row.size:
        raise DataError(f"the row {row.id!r} has no size", "rows need size [width, height] of the original image")
    pixels = Images([row]).batch(np.array([0]))[0]
    return Image.fromarray(pixels).resize((row.size[0], row.size[1]), Image.Resampling.BICUBIC)
