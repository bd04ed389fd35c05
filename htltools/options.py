"""The flags that several commands share, each with one meaning, and the shell around every command."""

import functools
import inspect
import sys
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option
from typer.core import TyperGroup

from htltools import console
from htltools.config import ConfigFile, options_by_key, read_config
from htltools.errors import UsageError
from htltools.processes import first_process, several_processes

# Option of each group
in_data, in_model, in_training, in_attention, in_runtime, in_output = (
    functools.partial(Option, rich_help_panel=name) for name in ("Data", "Model", "Training", "Attention", "Runtime", "Output")
)


class Choice(StrEnum):
    """One of several words."""


class Precision(Choice):
    """The type of the heavy arithmetic."""

    auto, fp32, tf32, bf16 = "auto", "fp32", "tf32", "bf16"


Rows = Annotated[
    Path | None,
    Argument(
        metavar="ROWS", help="A file of rows, JSON Lines or Parquet, a finished store, or - for stdin (the default).", show_default=False
    ),
]

data = functools.partial(Option, rich_help_panel="Data", show_default=False)
Numbering = Annotated[Path | None, data("--coco", metavar="JSON", help="COCO data set that numbers the images of predictions.")]
Objects = Annotated[
    bool | None, data("--objects/--one-box", help="Predictions are several objects an image, or one box [by the rows' labels].")
]
Ids = Annotated[list[Path] | None, data("--ids", metavar="FILE", help="Only rows with these ids: one a line, rows, or CSV.")]
NotIds = Annotated[list[Path] | None, data("--not-ids", metavar="FILE", help="No rows with these ids; FILE:wrong: of one mark.")]
Limit = Annotated[int | None, data("--limit", metavar="N", min=1, help="Use only the first N rows.")]
PartText = Annotated[str | None, data("--part", metavar="k/N", help="Do only the k-th of N parts, by whole groups; htl join joins them.")]
Partial = Annotated[bool, data("--partial", help="Accept rows that were cut short.", envvar="HTL_PARTIAL")]

model = functools.partial(Option, rich_help_panel="Model", show_default=False)
Model = Annotated[Path | None, model("--model", metavar="FILE", help="The model; without it the last one named in the stream.")]
Baseline = Annotated[
    list[Path] | None, model("--baseline", "--against", metavar="FILE", help="Another model to compare with; as many as --model.")
]
Trust = Annotated[
    str | None, model("--trust", metavar="NAME,...", help="Nets of your own that may run: package.module:function.", envvar="HTL_TRUST")
]

runtime = functools.partial(Option, rich_help_panel="Runtime")
Seed = Annotated[int, runtime("--seed", metavar="N", min=0, help="Seed of everything random.", envvar="HTL_SEED")]
BatchSize = Annotated[int, runtime("--batch-size", metavar="N", min=1, help="Samples per step.", envvar="HTL_BATCH_SIZE")]
DeviceName = Annotated[str, runtime("--device", metavar="auto|cpu|cuda[:N]", help="Where to compute.", envvar="HTL_DEVICE")]
PrecisionName = Annotated[Precision, runtime("--precision", help="Arithmetic of the heavy part.", envvar="HTL_PRECISION")]
Jobs = Annotated[int, runtime("-j", "--jobs", metavar="N", min=0, help="Processes; 0 = one for each core.", envvar="HTL_JOBS")]
RayAddress = Annotated[str | None, runtime("--ray", metavar="auto|ADDRESS", help="Work on a Ray cluster.", show_default=False)]
Nproc = Annotated[int, runtime("--nproc-per-node", metavar="N", min=1, help="Processes that share the work, each with its GPU.")]

output = functools.partial(Option, rich_help_panel="Output")
Force = Annotated[bool, output("--force", help="Replace what exists.")]
History = Annotated[bool, output("--history/--no-history", help="Record how each output was made.", envvar="HTL_HISTORY")]


def config_file(context: typer.Context, path: Path | None) -> ConfigFile | None:
    """Make the flags in a file the defaults of the command, and give the file.

    Raises: as `read_config`.
    """
    if path is None:
        return None
    console.talk.command = context.command_path
    group = context.parent.command if context.parent else None
    names = group.list_commands(context) if isinstance(group, TyperGroup) else []

    def flags_of(name: str) -> set[str]:
        command = group.get_command(context, name) if isinstance(group, TyperGroup) else None
        return set(options_by_key(command.params)) if command else set()

    config = read_config(path, str(context.info_name), context.command.params, flags_of, names)
    context.default_map = config.values
    return config


eager = functools.partial(Option, is_eager=True, show_default=False)
Config = Annotated[
    Path | None, eager("--config", metavar="FILE.toml", help="Flags from a file.", callback=config_file, envvar="HTL_CONFIG")
]
Quiet = Annotated[bool, Option("-q", "--quiet", help="Print errors only.", envvar="HTL_QUIET")]
Verbose = Annotated[bool, Option("-v", "--verbose", help="Print more.", envvar="HTL_VERBOSE")]
Debug = Annotated[bool, Option("--debug", help="Print the traceback of an error.", envvar="HTL_DEBUG")]


KEEPS_NOTHING = "look", "predict", "evaluate", "export", "report"  # commands of which nothing is left to go on from
ANEW = "stopped; the same command starts anew"


def command(function):
    """Give a command the flags that all share, and a `run` (`formats.rows.provenance.Run`) that knows how it was called.

    The wrapped function takes `run` first, then its own parameters. With `nproc` over 1 it runs in several processes.
    """
    shared: dict[str, Any] = {"history": (History, True), "config": (Config, None), "quiet": (Quiet, False)}
    shared |= {"verbose": (Verbose, False), "debug": (Debug, False)}
    own = [p for p in inspect.signature(function).parameters.values() if p.name != "run"]
    extra = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in shared.items()
    ]

    outputs = {p.name: output_flag(p) for p in own if output_flag(p)}

    @functools.wraps(function)
    def shell(**values: Any):
        from htltools.formats.remote.address import address_of, with_addresses
        from htltools.formats.rows.provenance import Run

        flags = {name: values.pop(name) for name in shared}
        console.talk.command = f"htl {function.__name__}"
        console.talk.named = with_addresses
        console.talk.quiet, console.talk.verbose = flags["quiet"] or not first_process(), flags["verbose"]
        named = values
        if any(address_of(each) for value in values.values() for each in (value if isinstance(value, list) else [value])):
            from htltools.formats.remote.inputs import local_inputs

            values = local_inputs(function.__name__, values, outputs)
        if values.get("nproc", 1) > 1 and not several_processes():
            raise typer.Exit(run_in_processes(**values))
        config = flags["config"]
        if config and config.left_out:
            console.say(f"{config}: left out, as only other commands have them: {', '.join(config.left_out)}")
        recorded = named | ({"config": str(config)} if config else {})
        with console.hint_if_stopped(lambda: ANEW) if function.__name__ in KEEPS_NOTHING else nullcontext():
            return function(Run(function.__name__, recorded, flags["history"]), **values)

    shell.__signature__ = inspect.Signature(own + extra)  # type: ignore[attr-defined]
    return shell


def output_flag(parameter: inspect.Parameter) -> str:
    """The flag of a parameter that names what is written; empty for all others."""
    kinds = (kind for kind in getattr(parameter.annotation, "__metadata__", ()) if getattr(kind, "rich_help_panel", None) == "Output")
    return next((max(kind.param_decls or [parameter.name], key=len) for kind in kinds), "")


def run_in_processes(nproc: int, rows: Path | None, partial: bool, out: Path | None = None, force: bool = False, **others: Any) -> int:
    """Run the command in several processes, after checks of what is known beforehand: the exit code."""
    if others.get("ray"):
        raise UsageError("--ray spreads the work itself", "leave out --nproc-per-node")
    rows_expected(rows)
    from htltools.formats.files.atomic import refuse_existing
    from htltools.formats.models.checkpoint import may_be_a_result
    from htltools.launching import launch

    if out and not may_be_a_result(out):  # a result of this very command, interrupted before its rows were out: the workers decide
        refuse_existing(out, force)
    return launch(nproc, rows, partial)


def rows_expected(rows: Path | None) -> None:
    """Refuse to wait for rows on a terminal.

    Raises: typer.Exit(2) after a short help where no file is named and stdin is a terminal or closed; UsageError where several
    processes would share stdin.
    """
    stdin = rows is None or str(rows) == "-"
    if stdin and several_processes():
        raise UsageError("several processes cannot share stdin", "name a file of rows, or start them with --nproc-per-node")
    if stdin and (sys.stdin is None or sys.stdin.isatty()):
        name = console.talk.command
        print(f"Usage: {name} [OPTIONS] [ROWS]\n{name}: no rows: pipe them in or name a file; see {name} --help", file=sys.stderr)
        raise typer.Exit(2)


def trusted_names(text: str | None) -> tuple[str, ...]:
    """Names of the nets in the text of --trust."""
    return tuple(text.split(",")) if text else ()


SPLIT_WORDS = {"validation": "val", "valid": "val", "dev": "val", "training": "train", "testing": "test"}  # of other tools


def split_named(text: str, *, every: bool = True) -> str:
    """The split that --split names, train, val or test, or "all" where `every` allows it; also by the words of other tools.

    Raises: UsageError.
    """
    name = SPLIT_WORDS.get(text.lower(), text.lower())
    known = ["train", "val", "test", *(["all"] if every else [])]
    if name not in known:
        raise UsageError(f"--split takes {', '.join(known)}, not {text!r}")
    return name


def shares(text: str, flag: str) -> list[float]:
    """The fractions, each in [0, 1), in a text such as "0.5,0.7".

    Raises: UsageError naming the flag.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{flag} takes numbers between 0 and 1, not {text!r}") from None
    if not all(0 <= value < 1 for value in values):
        raise UsageError(f"{flag} takes numbers from 0 up to but not including 1, not {text!r}")
    return values
