"""The flags that several commands share, each with one meaning, and the shell around every command."""

import functools
import inspect
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from htltools import console
from htltools.errors import UsageError
from htltools.processes import first_process, several_processes


class Choice(StrEnum):
    """One of several words."""


class Precision(Choice):
    """The type of the heavy arithmetic."""

    auto, fp32, bf16 = "auto", "fp32", "bf16"


Rows = Annotated[
    Path | None, Argument(metavar="ROWS", help="A file of rows, a finished store, or - for stdin (the default).", show_default=False)
]
Model = Annotated[
    Path | None, Option("--model", metavar="FILE", help="The model; without it the last one named in the stream.", show_default=False)
]
Trust = Annotated[
    str | None,
    Option(
        "--trust",
        metavar="NAME,...",
        help="Nets of your own that may run: package.module:function.",
        envvar="HTL_TRUST",
        show_default=False,
    ),
]
Numbering = Annotated[
    Path | None, Option("--coco", metavar="JSON", help="COCO data set whose images predictions speak of by number.", show_default=False)
]
DeviceName = Annotated[str, Option("--device", metavar="auto|cpu|cuda[:N]", help="Where to compute.", envvar="HTL_DEVICE")]
PrecisionName = Annotated[Precision, Option("--precision", help="Arithmetic of the heavy part.", envvar="HTL_PRECISION")]
Seed = Annotated[int, Option("--seed", metavar="N", min=0, help="Seed of everything random.", envvar="HTL_SEED")]
BatchSize = Annotated[int, Option("--batch-size", metavar="N", min=1, help="Samples per step.", envvar="HTL_BATCH_SIZE")]
Jobs = Annotated[int, Option("-j", "--jobs", metavar="N", min=0, help="Processes; 0 = one for each core.", envvar="HTL_JOBS")]
Nproc = Annotated[int, Option("--nproc", metavar="N", min=1, help="Processes that share the work, each with a GPU of its own.")]
Limit = Annotated[int | None, Option("--limit", metavar="N", min=1, help="Use only the first N rows.", show_default=False)]
Partial = Annotated[bool, Option("--partial", help="Accept rows that were cut short.", envvar="HTL_PARTIAL")]
Force = Annotated[bool, Option("--force", help="Replace what exists.")]
Quiet = Annotated[bool, Option("-q", "--quiet", help="Say only what goes wrong.", envvar="HTL_QUIET")]
Verbose = Annotated[bool, Option("-v", "--verbose", help="Say more.", envvar="HTL_VERBOSE")]
Debug = Annotated[bool, Option("--debug", help="Show where an error arose.", envvar="HTL_DEBUG")]
History = Annotated[bool, Option("--history/--no-history", help="Record how each output was made.", envvar="HTL_HISTORY")]


def command(function):
    """Give a command the flags all share, and a `run` (`formats.provenance.Run`) that knows how it was called.

    The wrapped function takes `run` first, then its own parameters. With `nproc` over 1 it runs in processes of its own.
    """
    shared = {"quiet": (Quiet, False), "verbose": (Verbose, False), "debug": (Debug, False), "history": (History, True)}
    own = [p for p in inspect.signature(function).parameters.values() if p.name != "run"]
    extra = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)
        for name, (kind, default) in shared.items()
    ]

    @functools.wraps(function)
    def shell(**values: Any):
        from htltools.formats.rows.provenance import Run

        flags = {name: values.pop(name) for name in shared}
        console.talk.command = f"htl {function.__name__}"
        console.talk.quiet, console.talk.verbose = flags["quiet"] or not first_process(), flags["verbose"]
        if values.get("nproc", 1) > 1 and not several_processes():
            raise typer.Exit(launched(**values))
        return function(Run(function.__name__, values, flags["history"]), **values)

    shell.__signature__ = inspect.Signature(own + extra)
    return shell


def launched(nproc: int, rows: Path | None, partial: bool, out: Path | None = None, force: bool = False, **others: Any) -> int:
    """The exit code of the command in several processes, once what can be known beforehand was checked."""
    rows_expected(rows)
    from htltools.formats.files.atomic import refuse_existing
    from htltools.formats.models.checkpoint import may_be_a_result
    from htltools.launching import launch

    if out and not may_be_a_result(out):  # of this very command, broken off before its rows were out: the workers find out
        refuse_existing(out, force)
    return launch(nproc, rows, partial)


def rows_expected(rows: Path | None) -> None:
    """Refuse to wait for rows that nobody will type.

    Raises: typer.Exit(2) after a short help where stdin is a terminal, or closed, and no file is named; UsageError where
    several processes would share stdin.
    """
    stdin = rows is None or str(rows) == "-"
    if stdin and several_processes():
        raise UsageError("several processes cannot share stdin", "name a file of rows, or start them with --nproc")
    if stdin and (sys.stdin is None or sys.stdin.isatty()):
        name = console.talk.command
        print(f"Usage: {name} [OPTIONS] [ROWS]\n{name}: no rows: pipe them in or name a file; see {name} --help", file=sys.stderr)
        raise typer.Exit(2)


def names_trusted(text: str | None) -> tuple[str, ...]:
    """The nets that --trust names."""
    return tuple(text.split(",")) if text else ()


def shares(text: str, flag: str) -> list[float]:
    """Numbers of [0, 1) from "0.5,0.7".

    Raises: UsageError naming the flag.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{flag} takes numbers between 0 and 1, not {text!r}") from None
    if not all(0 <= value < 1 for value in values):
        raise UsageError(f"{flag} takes numbers from 0 up to but not including 1, not {text!r}")
    return values
