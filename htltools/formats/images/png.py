"""PNG files."""

from pathlib import Path

import numpy as np
from PIL import Image

from htltools.formats.files.atomic import replacing


def write_png(path: Path, image: np.ndarray) -> None:
    """Write an image uint8 [H, W, 3] as a PNG, whole or not at all.

    Raises: CannotCreate, StorageError.
    """
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")
