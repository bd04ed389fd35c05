"""Messages, progress and tables for a person: on stderr, unless a table is the output."""

import io
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

SAID = "HTL_SAID"  # names a folder, where several processes share a job


@dataclass
class Talk:
    """How much is printed. One per process, set once by the command line."""

    command: str = "htl"
    quiet: bool = False
    verbose: bool = False
    named: Callable[[str], str] = str  # what messages call paths


talk = Talk()


class Unfailing(io.FileIO):
    """A file that takes what it can: a full disk or a closed pipe for messages must not end a command before its output is written."""

    def write(self, data) -> int:
        """Write, or do without."""
        try:
            return super().write(data) or len(data)
        except OSError:
            return len(data)


def guard_streams() -> None:
    """Let no message fail: stderr may be closed, or full. Tables are UTF-8 as rows are, whatever the locale, but for a terminal's."""
    if sys.stderr is None:  # closed: another file would get its number, and what libraries print
        handle = os.open(os.devnull, os.O_WRONLY)
        os.dup2(handle, 2)
        if handle != 2:
            os.close(handle)
    encoding = getattr(sys.stderr, "encoding", "utf-8")
    stderr = io.BufferedWriter(Unfailing(2, "wb", closefd=False))
    sys.stderr = io.TextIOWrapper(stderr, encoding, "backslashreplace", line_buffering=True)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding=None if sys.stdout.isatty() else "utf-8", errors="backslashreplace")


def say(message: str) -> None:
    """Print a message, unless -q."""
    if not talk.quiet:
        print(f"{talk.command}: {printable(message)}", file=sys.stderr, flush=True)


def explain(message: str) -> None:
    """Print a detail, only with -v."""
    if talk.verbose:
        say(message)


def complain(message: str) -> None:
    """Print why the command fails, even with -q; where several processes share the job, once."""
    if not is_said(message):
        print(f"{talk.command}: {printable(message)}", file=sys.stderr, flush=True)


def is_said(message: str) -> bool:
    """Whether another process of the same job has printed a message, by a file in the folder that the variable SAID names."""
    folder = os.environ.get(SAID)
    if not folder:
        return False
    import hashlib

    name = hashlib.sha256(message.encode("utf-8", "surrogateescape")).hexdigest()
    try:
        os.close(os.open(os.path.join(folder, name), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except OSError as error:  # of any other kind: a message more is better than none
        return isinstance(error, FileExistsError)
    return False


def warn(message: str) -> None:
    """Report what may change a result, even with -q."""
    complain(message)


def printable(text: str) -> str:
    """The text on one line, without control characters: ids and metadata must not control the terminal."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in talk.named(text))


def is_terminal(stream) -> bool:
    """Whether a stream is a terminal, and not a dumb one."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class Steps:
    """Counts finished steps: a bar on a terminal, elsewhere a line every 30 seconds or for each note."""

    QUIET_SECONDS = 30

    def __init__(self, description: str, total: int | None, bar):
        self.description, self.total, self.bar = description, total, bar
        self.done = 0
        self.last_line = time.monotonic()
        self.task = bar.add_task(description, total=total) if bar else None

    def advance(self, count: int = 1, note: str | None = None) -> None:
        """Count steps as done; `note`: the result of the last one, a line of its own in a log."""
        self.done += count
        if self.bar:
            text = f"{self.description}  {note}" if note else None
            self.bar.update(self.task, advance=count, **({"description": text} if text else {}))
        elif note or time.monotonic() - self.last_line > self.QUIET_SECONDS:
            self.last_line = time.monotonic()
            of_total = f"/{self.total}" if self.total else ""
            say(f"{self.description} {self.done}{of_total}" + (f"  {note}" if note else ""))

    def expect(self, total: int) -> None:
        """Change the number of steps that there will be."""
        self.total = total
        if self.bar:
            self.bar.update(self.task, total=total)


@contextmanager
def hint_if_stopped(hint: Callable[[], str]) -> Iterator[None]:
    """Say how to go on where Ctrl-C or SIGTERM, which are no `Exception`, end what is done here."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        say(hint())
        raise


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Steps]:
    """Show the progress of a loop on stderr."""
    if talk.quiet or not is_terminal(sys.stderr):
        yield Steps(description, total, None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    words = TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))
    with Progress(words, BarColumn(16), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True), expand=True) as bar:
        yield Steps(description, total, bar)


def show_table(headings: Sequence[str], lines: Iterable[Sequence[str]], *, title: str | None = None, to_stderr: bool = False) -> None:
    """Print a table: aligned with rich on a terminal, tab-separated elsewhere."""
    stream = sys.stderr if to_stderr else sys.stdout
    headings, *lines = [[printable(str(cell)) for cell in line] for line in [headings, *lines]]
    if not is_terminal(stream):
        for line in [headings, *lines]:
            print("\t".join(line), file=stream)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    screen = Console(file=stream)
    kept = fitting_columns([headings, *lines], screen.width)
    if kept < len(headings):
        say(f"columns left out at a width of {screen.width}: {', '.join(headings[kept:])}")
        headings, *lines = [list(line[:kept]) for line in [headings, *lines]]
    # Text, for a str would be parsed as markup
    table = Table(title=title and Text(printable(title)), box=box.SIMPLE, title_justify="left", pad_edge=False)
    for i, heading in enumerate(headings):
        number = all(line[i][:1] in "+-.0123456789" for line in lines)
        table.add_column(Text(heading), justify="right" if number else "left", no_wrap=number)
    for cells in lines:
        table.add_row(*[Text(cell) for cell in cells])
    screen.print(table)


def fitting_columns(lines: Sequence[Sequence[str]], width: int) -> int:
    """How many columns of a table fit, three characters apart: those of numbers are not wrapped, others at words. The first always does.

    >>> fitting_columns([["subgroup", "n", "iou_mean"], ["sex female", "12", "0.812 [0.790, 0.833]"]], 24)
    2
    """
    needed = 0
    for place, column in enumerate(zip(*lines)):
        number = all(cell[:1] in "+-.0123456789" for cell in column[1:])
        needed += max(len(cell) if number or not place else max(map(len, cell.split()), default=0) for cell in column) + 3
        if place and needed - 1 > width:
            return place
    return len(lines[0])
