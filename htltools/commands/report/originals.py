"""The original images that the gallery of a report shows large."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from htltools import console
from htltools.errors import DataError
from htltools.formats.images.originals import WHOLE, Window, original_path, read_original, window_around
from htltools.formats.images.webp import webp_uri
from htltools.formats.rows.row import Row

ROOM = 24_000_000  # bytes for originals, beside the small images
QUALITY = 82  # of the encoder
SMALLEST = 128  # pixels, below which an original shows no more than the stored image
THREADS = 4
SHOWN = 3  # ids that a sentence names
GONE = "its file is not there"


@dataclass(frozen=True)
class LargeImages:
    """What was asked of them: the longer side in pixels, 0 = none; the sides of what is shown, in those of all boxes together, None = the
    whole image; and the folder where the originals lie now."""

    side: int
    crop: float | None = None
    folder: Path | None = None


def large_images(rows: Sequence[Row], boxes: Sequence[Mapping[str, np.ndarray]], asked: LargeImages) -> list[dict[str, Any] | None]:
    """The original of each row as {image: a data URI, window: shares of its sides}, None where there is none; what is missing is said.

    boxes: of each row by role, [n, 4] in shares. All together take at most 24 MB: they are made smaller where they would take more.
    """
    if not asked.side:
        return [None] * len(rows)
    windows = [window_around(np.concatenate(list(own.values())), asked.crop) if asked.crop and own else WHOLE for own in boxes]
    missing: dict[str, str] = {}

    def encoded(i: int, side: int) -> str | None:
        row, path = rows[i], original_path(rows[i], asked.folder)
        if path is None or not row.size:
            missing[row.id] = GONE if row.file else "it names no file"
            return None
        try:
            pixels = read_original(path, (row.size[0], row.size[1]), side, windows[i])
        except DataError as error:
            missing[row.id] = str(error)
            return None
        return webp_uri(pixels, np.array(pixels.shape[1::-1]), side, QUALITY)

    side, uris = asked.side, list[str | None]()
    for _ in range(3):
        with console.progress("originals", len(rows)) as steps, ThreadPoolExecutor(THREADS) as threads:
            uris = []
            for uri in threads.map(encoded, range(len(rows)), [side] * len(rows)):
                uris.append(uri)
                steps.advance()
        total = sum(len(uri) for uri in uris if uri)
        if total <= ROOM or side <= SMALLEST:
            break
        side = max(int(side * 0.95 * (ROOM / total) ** 0.5), SMALLEST)
    if side < asked.side:
        console.say(
            f"originals are shown with {side} pixels, not {asked.side}: all must fit into {ROOM // 10**6} MB; --gallery takes fewer"
        )
    say_missing(missing, len(rows))
    return [None if uri is None else {"image": uri, "window": rounded(window)} for uri, window in zip(uris, windows)]


def say_missing(missing: Mapping[str, str], count: int) -> None:
    """Say of how many images there is no original, and why."""
    for reason, number in Counter(missing.values()).most_common(SHOWN):
        some = ", ".join(sorted(name for name, own in missing.items() if own == reason)[:SHOWN])
        remedy = "; --originals DIR says where they lie now" if reason == GONE else ""
        console.say(f"no original of {number} of {count} images, such as {some}: {reason}{remedy}; a click shows the stored image")


def rounded(window: Window) -> list[float]:
    """A window with few digits."""
    return [round(edge, 5) for edge in window]
