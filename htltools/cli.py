"""The `htl` program: finds the command, runs it, and turns every failure into one line and an exit code."""

import errno
import importlib
import os
import sys

import typer
from typer.core import TyperGroup

from htltools import __version__, console, interruption
from htltools.commandline import HtlCommand
from htltools.errors import ClosedPipe, HtlError, UsageError, torch_missing
from htltools.synonyms import command_called

COMMANDS = {  # each a module of htltools.commands; the summaries stand here so that `htl --help` need not import those
    "prepare": "Make rows and a store from images, masks and a table.",
    "train": "Train a localizer on the rows of the training split.",
    "look": "Let a trained localizer look otherwise: again, in other windows, or only once.",
    "prune": "Prune a copy of a localizer; the dense one stays as it is.",
    "score": "Score how hard each sample is to learn.",
    "predict": "Predict for new images, and say which predictions to doubt.",
    "join": "Join the parts that --part made, and prove that all are there, once each.",
    "resample": "Turn hardness into training weights, repeats or a selection.",
    "evaluate": "Measure a localizer, with intervals, by subgroup, and against another one.",
    "export": "Write a localizer as an ONNX file, checked against torch before it appears.",
    "report": "Write one page of HTML: metrics, plots, and a gallery of the hardest samples.",
    "view": "Choose rows and look at them: rows into a pipe, a table on a terminal.",
}

OTHER_PAGES = {"stream": 5, "tutorial": 7, "migrating": 7}  # pages of the manual that are not about a command, and their sections

OFF = "", "0", "false", "f", "no", "n", "off"  # values of HTL_DEBUG that mean no


class LazyGroup(TyperGroup):
    """The group of all commands. Each is imported when it is called."""

    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, name):
        if name == "help":
            return single_command("help", show_page)
        if name not in COMMANDS:
            return None
        return single_command(name, getattr(importlib.import_module(f"htltools.commands.{name}.command"), name))

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(self, ctx, args):
        self.commands = dict.fromkeys(COMMANDS, self)  # the names that "Did you mean" chooses from
        if args and args[0] not in (*COMMANDS, "help") and (ours := command_called(args[0])):
            console.talk.command = "htl"
            raise UsageError(f"there is no command {args[0]!r}: use htl {ours}", "see htl --help")
        return super().resolve_command(ctx, args)


def single_command(name: str, function):
    """Typer's command of a function."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name, cls=HtlCommand, context_settings=HELP)(function)
    return typer.main.get_command(single)


HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

app = typer.Typer(
    cls=LazyGroup,
    context_settings=HELP,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
)


def print_versions(wanted: bool) -> None:
    """Print the versions of all that a result depends on, from metadata: importing torch is slow."""
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version
    from platform import python_version

    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    names = "torch", "torchvision", "numpy", "h5py", "duckdb", "pillow", "onnx", "onnxruntime-gpu", "onnxruntime", "typer"
    print(f"htl {__version__}\npython {python_version()}")
    for name in names:
        print(f"{name} {installed(name)}")
    raise typer.Exit


@app.callback(invoke_without_command=True)
def htl(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=print_versions, is_eager=True, help="Print versions and exit."),
):
    """Find the hard-to-learn samples of a medical image localization data set by pruning, and attend to them.

    \b
    htl prepare FOLDER -o store | htl train --attend none -o dense.h5 | htl prune -o pruned.h5 \\
      | htl score | htl train -o attended.h5 | htl evaluate --baseline dense.h5
    htl export --model attended.h5 -o lesion.onnx

    Rows go from command to command as JSON Lines; messages go to stderr. `htl help COMMAND` opens a command's manual page,
    `htl help` that of htl, `htl help stream` that of the format, `htl help tutorial` leads from a folder to a result, and `htl help
    migrating` from other tools.

    Every flag but --force can be set by an environment variable HTL_COMMAND_FLAG, such as HTL_TRAIN_EPOCHS; these hold for all
    commands: HTL_SEED HTL_DEVICE HTL_PRECISION HTL_BATCH_SIZE HTL_JOBS HTL_TRUST HTL_PARTIAL HTL_HISTORY HTL_CONFIG HTL_QUIET
    HTL_VERBOSE HTL_DEBUG. Or by a file, --config FILE.toml: epochs = 40 in a section [train], for all commands above the sections.
    """
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(2)


def show_page(
    topic: str = typer.Argument(
        "htl", help="A command, stream, tutorial, migrating, or htl.", autocompletion=lambda: [*COMMANDS, *OTHER_PAGES]
    ),
) -> int:
    """Open a page of the manual, or print the help where the page or man(1) is missing."""
    import shutil
    import subprocess
    from pathlib import Path

    if topic not in ("htl", *OTHER_PAGES, *COMMANDS):
        raise UsageError(f"there is no page on {topic!r}", f"there are htl, {', '.join(COMMANDS)}, {', '.join(OTHER_PAGES)}")
    section = OTHER_PAGES.get(topic, 1)
    page = "htl.1" if topic == "htl" else f"htl-{topic}.{section}"
    paths = Path(__file__).parents[1] / "man" / page, Path(sys.prefix) / "share" / "man" / f"man{section}" / page
    installed = next((path for path in paths if path.is_file()), None)
    if installed and shutil.which("man"):
        return subprocess.call(["man", str(installed)])
    return run([topic, "--help"] if topic in COMMANDS else ["--help"])


def main(args: list[str] | None = None) -> int:
    """Run htl and return its exit code."""
    if args is None:
        console.guard_streams()
    interruption.install()
    try:
        code = interruption.code_after_signal(exit_code(args))
    except (KeyboardInterrupt, interruption.Terminated) as error:  # while another failure was reported
        code = report_error(error)
    if args is None:
        interruption.ignore_from_now(code)
    else:
        interruption.restore()
    return code


def exit_code(args: list[str] | None) -> int:
    """The exit code of a command; every failure is reported in one line."""
    if sys.stdout is None:  # the caller closed it
        console.complain("stdout is closed")
        return 74
    debug = "--debug" in (sys.argv if args is None else args) or os.environ.get("HTL_DEBUG", "0").lower() not in OFF
    try:
        code = run(args)
        close_stdout()
        return code
    except (Exception, KeyboardInterrupt, interruption.Terminated) as error:
        if debug:
            import traceback

            for line in "".join(traceback.format_exception(error)).splitlines():
                print(console.printable(line), file=sys.stderr)
        code = report_error(error)
    abandon_stdout()
    return code


def run(args: list[str] | None) -> int:
    """The exit code of a command that raises nothing."""
    command = typer.main.get_command(app)
    result = command.main(args, prog_name="htl", standalone_mode=False)
    return result if isinstance(result, int) else 0


def report_error(error: BaseException) -> int:
    """Print why a command failed, in one line; its exit code."""
    message: str | None = None
    match error:
        case SystemError() if interruption.received:  # C code raises it where a signal arrives during a callback
            code = interruption.CODES[interruption.received[0]]
        case KeyboardInterrupt():
            code = 130
        case interruption.Terminated():
            code = 143
        case ClosedPipe():
            code = error.exit_code
        case HtlError():
            code, message = error.exit_code, str(error)
        case typer.TyperException():  # a wrong flag
            context = getattr(error, "ctx", None)
            console.talk.command = context.command_path if context else "htl"
            code, message = error.exit_code, f"{error.format_message().rstrip('.')}; see {console.talk.command} --help"
        case MemoryError():
            code, message = 75, "out of memory; try a smaller --batch-size or --size"
        case _:
            code, message = unexpected(error)
    if message:
        console.complain(message)
    return code


def unexpected(error: BaseException) -> tuple[int, str]:
    """Exit code and message of an exception that no command raises on purpose."""
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be imported
        return 75, "the device is out of memory; try a smaller --batch-size"
    if isinstance(error, BrokenPipeError):
        return 141, "the reader of our output went away"
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        code = {errno.ENOENT: 66, errno.EACCES: 73, errno.EROFS: 73, errno.EEXIST: 73}.get(error.errno or 0, 74)
        return code, f"{error.strerror or error}{where}"
    if isinstance(error, ModuleNotFoundError) and isinstance(missing := torch_missing(error, "this"), HtlError):
        return missing.exit_code, str(missing)
    return 1, f"unexpected {type(error).__name__}: {error}; run again with --debug to see where"


def close_stdout() -> None:
    """Flush stdout: a full disk or a closed pipe must not pass for success."""
    from htltools.formats.rows.jsonlines import writing

    with writing():
        sys.stdout.flush()


def abandon_stdout() -> None:
    """Keep Python from flushing a broken stdout again at its exit, and from printing an error then."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
