"""The flags of `prepare` as values, each refused where it makes no sense."""

import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from htltools.errors import DataError, UsageError
from htltools.formats.rows.schema import FRAME, SPLITS

COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def check_sources(sources: Sequence[str] | None, phantom: int | None, files: Sequence[Path | None]) -> None:
    """Refuse calls with nothing to read, or with two kinds of images; `files`: tables, annotations and masks.

    Raises: UsageError.
    """
    if not sources and not phantom:
        raise UsageError("nothing to prepare", "name a folder, or make synthetic images with --phantom N")
    if phantom and (sources or any(files)):
        raise UsageError("--phantom makes its own images", "leave out the sources, or --phantom")
    if sources and "-" in sources and sys.stdin.isatty():
        raise UsageError("- expects a list of paths on stdin, which is a terminal")


def stored_frame(text: str) -> tuple[int, int]:
    """Height and width of a stored image, of --size "64" or "48x64".

    Raises: UsageError.
    """
    numbers = pixels(text)
    if len(numbers) not in (1, 2):
        raise UsageError(f"--size takes N or HxW in pixels, not {text!r}")
    return numbers[0], numbers[-1]


def table_frame(text: str | None) -> tuple[int, int] | None:
    """Width and height of the frame of a table's boxes, of --box-frame "600x450".

    Raises: UsageError.
    """
    if text is None:
        return None
    numbers = pixels(text)
    if len(numbers) != 2:
        raise UsageError(f"--box-frame takes WxH in pixels, not {text!r}")
    return numbers[0], numbers[1]


def lesion_values(text: str | None) -> tuple[int, ...]:
    """The values of masks that are lesions, of --lesion-values "1,2" or "#ff0000": whole numbers, or colours as 0xRRGGBB.

    Raises: UsageError.
    """
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    numbers = [int(part[1:], 16) if COLOUR.fullmatch(part) else int(part) if part.isdecimal() else -1 for part in parts]
    if min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise UsageError(f"--lesion-values takes whole numbers or colours such as 1,2 or #ff0000, not {text!r}")
    return tuple(numbers)


def pixels(text: str) -> list[int]:
    """The numbers of "48x64"; none where one is no whole number of pixels within bounds."""
    parts = text.lower().split("x")
    return [int(part) for part in parts] if all(part.isdecimal() and 0 < int(part) <= FRAME for part in parts) else []


def box_sets(texts: Sequence[str] | None) -> list[tuple[str | None, list[str]]] | None:
    """The class and the columns of each --box-columns, four or one of whole boxes; the class is None where none is given.

    Raises: UsageError.
    """
    sets = []
    for text in texts or ():
        name, equals, columns = text.rpartition("=")
        names = columns.split(",")
        if len(names) not in (1, 4) or (equals and not name):
            raise UsageError(f"--box-columns takes four names with commas in between, or one, and CLASS= before them, not {text!r}")
        sets.append((name or None, names))
    if len(sets) > 1 and not all(name for name, _ in sets):
        raise UsageError("--box-columns that is given several times needs a class each", "such as left=x0,y0,x1,y1")
    return sets or None


def words(text: str | None) -> list[str]:
    """The words of --missing "WORD,...".

    >>> words("gone, lost,")
    ['gone', 'lost']
    """
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def split_words(text: str | None) -> dict[str, str | None]:
    """The split that each word of --split-map "WORD=SPLIT,..." means; None where it means that there is none.

    >>> split_words("A=val,extra=none")
    {'A': 'val', 'extra': None}

    Raises: UsageError.
    """
    meant = {}
    for part in words(text):
        word, equals, split = (piece.strip() for piece in part.rpartition("="))
        if not equals or split not in (*SPLITS, "none"):
            raise UsageError(f"--split-map takes WORD=train, val, test or none, with commas in between, not {part!r}")
        meant[word] = None if split == "none" else split
    return meant


def column_words(texts: Sequence[str] | None) -> list[tuple[str, str]]:
    """The column and the word of each --empty-when "COLUMN=WORD".

    Raises: UsageError.
    """
    pairs = [(column.strip(), word.strip()) for column, _, word in (text.rpartition("=") for text in texts or ())]
    if not all(column and word for column, word in pairs):
        raise UsageError(f"--empty-when takes COLUMN=WORD, such as Target=0, not {', '.join(map(repr, texts or ()))}")
    return pairs


def split_shares(text: str) -> list[float]:
    """Shares of train, val and test.

    Raises: UsageError.
    """
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        shares = []
    if len(shares) != 3 or min(shares) < 0 or not 0 < sum(shares) < math.inf:
        raise UsageError(f"--splits takes three shares such as 0.7,0.15,0.15, not {text!r}")
    return shares


def refuse_doubts(doubts: Sequence[str], strict: bool) -> None:
    """With --strict, refuse what may have been understood wrongly.

    Raises: DataError.
    """
    if strict and doubts:
        raise DataError(f"{len(doubts)} doubts (--strict), the first: {doubts[0]}", "leave out --strict to go on all the same")
