"""`view --thumbnails`: rows as small images on a terminal, in the protocol or the characters that it can show."""

import os
import shutil
import sys
from collections.abc import Mapping
from typing import Literal

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from htltools import console
from htltools.commands.view.draw import Drawing
from htltools.core.figures.contact_sheet import GAP, TILE, tile
from htltools.core.figures.outlines import COLOURS, DASHES, SHADE
from htltools.formats.images import terminal_graphics
from htltools.formats.rows.jsonlines import writing

PROTOCOLS = {"kitty": terminal_graphics.kitty, "iterm": terminal_graphics.iterm, "sixel": terminal_graphics.sixel}
SIDE = 24  # columns of text that an image takes; in half blocks also its pixels
BY_NAME = {"xterm-kitty": "kitty", "xterm-ghostty": "kitty", "foot": "sixel", "foot-extra": "sixel", "mlterm": "sixel"}  # TERM
BY_PROGRAM = {  # TERM_PROGRAM, LC_TERMINAL
    "ghostty": "kitty",
    "iTerm.app": "iterm",
    "iTerm2": "iterm",
    "WezTerm": "iterm",
    "mintty": "iterm",
}


def chosen_protocol(asked: str, environment: Mapping[str, str] = os.environ) -> tuple[str | None, str]:
    """The protocol for images on stdout, or "blocks", by what the environment says of the terminal; None, and why, where there is none.

    The terminal itself is not queried: one that does not answer would keep htl waiting, one that answers late would type into the shell.
    """
    if asked != "auto":
        return asked, ""
    if not console.is_terminal(sys.stdout):
        return None, "stdout is no terminal" if not sys.stdout.isatty() else "TERM is dumb"
    if environment.get("NO_COLOR"):
        return None, "NO_COLOR is set"
    if not {"TMUX", "STY"} & environment.keys():  # these do not pass images on
        known = [BY_NAME.get(environment.get("TERM", "")), "kitty" if environment.get("KITTY_WINDOW_ID") else None]
        known += [BY_PROGRAM.get(environment.get(name, "")) for name in ("TERM_PROGRAM", "LC_TERMINAL")]
        if any(known):
            return next(filter(None, known)), ""
    screen = Console(file=sys.stdout)
    if screen.color_system not in ("truecolor", "256"):
        return None, f"TERM={environment.get('TERM', '')} and COLORTERM promise neither 256 colours nor more"
    if not screen.encoding.startswith("utf"):
        return None, f"the text of this terminal is {screen.encoding}, not UTF-8"
    return "blocks", ""


def show_images(drawing: Drawing, kind: str) -> None:
    """Show rows as images on stdout, as many in a line as the width holds."""
    width = shutil.get_terminal_size().columns
    columns = max((width + 2) // (SIDE + 2), 1)
    with writing():
        if kind == "blocks":
            show_blocks(drawing, width, columns)
        else:
            sheet = drawing.sheet(columns)
            taken = (SIDE + 2) * sheet.shape[1] // (TILE + GAP)
            sys.stdout.write(PROTOCOLS[kind](sheet, min(width, taken)))
        sys.stdout.flush()


def show_blocks(drawing: Drawing, width: int, columns: int) -> None:
    """Show the images in half blocks: each character is two pixels, one above the other."""
    screen = Console(file=sys.stdout, force_terminal=True, no_color=False, width=width, color_system=colour_system(), highlight=False)
    legend = Text()
    for role in [role for role in COLOURS if role in drawing.boxes]:
        legend.append_text(key_of(role)).append(f" {role}  ")
    grid = Table.grid(padding=(0, 2, 0, 0))
    for first in range(0, len(drawing.images), columns):
        grid.add_row(*[thumbnail(drawing, i) for i in range(first, min(first + columns, len(drawing.images)))])
    screen.print(Text(console.printable(drawing.title)))
    if legend:
        screen.print(legend)
    screen.print(grid)


def thumbnail(drawing: Drawing, i: int) -> Text:
    """The i-th image in half blocks, with its value, its id and, where there are several, its classes below it, as much as fits."""
    boxes = {role: own[i] for role, own in drawing.boxes.items()}
    text = half_blocks(np.asarray(tile(drawing.images[i], drawing.sizes[i], boxes, SIDE, 1, 0)))
    for line in drawing.values[i], drawing.ids[i], *([drawing.counts(i)] if drawing.classes else []), "":
        below = Text(console.printable(line))
        below.truncate(SIDE, overflow="ellipsis")
        text.append("\n").append_text(below)
    return text


def key_of(role: str) -> Text:
    """The line of a role, six pixels in half blocks, with its dashes."""
    places = range(6) if not DASHES[role] else [place for place in range(6) if place // DASHES[role] % 2 == 0]
    return Text.assemble(*(("\N{LOWER HALF BLOCK}", style_of(COLOURS[role] if place in places else SHADE)) for place in range(6)))


def half_blocks(image: np.ndarray) -> Text:
    """An image uint8 [H, W, 3] as text of W columns and H / 2 lines, a last odd line of pixels on the terminal's own ground."""
    lines = []
    for top in range(0, len(image), 2):
        pair = [*image[top : top + 2].tolist()]
        below = pair[1] if len(pair) > 1 else [None] * len(pair[0])
        lines.append(Text.assemble(*(("\N{UPPER HALF BLOCK}", style_of(*pixels)) for pixels in zip(pair[0], below))))
    return Text("\n").join(lines)


def style_of(colour, ground=None) -> str:
    """A style of rich by the colours (red, green, blue) of the letters and of the ground below them."""
    return "rgb({},{},{})".format(*colour) + (" on rgb({},{},{})".format(*ground) if ground else "")


def colour_system() -> Literal["256", "truecolor"]:
    """The number of colours to write: 256 where the terminal promises those, else all, as someone asked for images by name."""
    return "256" if Console(file=sys.stdout).color_system == "256" else "truecolor"
