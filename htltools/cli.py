"""The `htl` program: finds the subcommand, runs it, and turns whatever happens into one line and an exit code."""

import errno
import importlib
import os
import sys

import typer
from typer.core import TyperGroup

from htltools import __version__, console, interruption
from htltools.errors import ClosedPipe, HtlError, UsageError

COMMANDS = {  # each a module of htltools.commands; the summaries stand here so that `htl --help` need not import those
    "prepare": "Make rows and a store from images, masks and a table.",
    "train": "Train a localizer on the rows of the training split.",
    "prune": "Prune a copy of a localizer; the dense one stays as it is.",
    "score": "Score how hard each sample is to learn.",
    "resample": "Turn hardness into training weights, repeats or a selection.",
    "evaluate": "Measure a localizer, with intervals, by subgroup, and against another one.",
    "export": "Write a localizer as an ONNX file, checked against torch before it appears.",
    "report": "Write one page of HTML: metrics, plots, and a gallery of the hardest samples.",
    "view": "Choose rows and look at them: rows into a pipe, a table on a terminal.",
}

OTHER_PAGES = {"stream": 5, "tutorial": 7}  # topics of the manual that are no commands, and their sections

OFF = "", "0", "false", "f", "no", "n", "off"  # what a variable says for a flag that is not given


class LazyGroup(TyperGroup):
    """A group whose commands are modules of `htltools.commands`, imported when they are asked for."""

    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, name):
        if name == "help":
            return single_command("help", show_page)
        if name not in COMMANDS:
            return None
        command = single_command(name, getattr(importlib.import_module(f"htltools.commands.{name}.command"), name))
        for option in command.params:  # every flag has an environment variable of its name
            if option.param_type_name == "option" and not option.envvar and option.name != "help":
                flag = max(option.opts, key=len).removeprefix("--")
                option.envvar = f"HTL_{name}_{flag}".replace("-", "_").upper()
        return command

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(self, ctx, args):
        self.commands = dict.fromkeys(COMMANDS)  # what "Did you mean" chooses from
        return super().resolve_command(ctx, args)


def single_command(name: str, function):
    """A function as a command of that name."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name, context_settings=HELP)(function)
    return typer.main.get_command(single)


HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

app = typer.Typer(
    cls=LazyGroup,
    context_settings=HELP,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
)


def versions(asked: bool) -> None:
    """Print the versions that a result depends on, without importing what is slow."""
    if not asked:
        return
    from importlib.metadata import PackageNotFoundError, version
    from platform import python_version

    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    names = "torch", "torchvision", "numpy", "h5py", "pillow", "onnx", "onnxruntime-gpu", "onnxruntime", "typer"
    print(f"htl {__version__}\npython {python_version()}")
    for name in names:
        print(f"{name} {installed(name)}")
    raise typer.Exit


@app.callback(invoke_without_command=True)
def htl(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=versions, is_eager=True, help="Print versions and leave."),
):
    """Find the hard-to-learn samples of a medical image localization data set by pruning, and attend to them.

    \b
    htl prepare FOLDER -o store | htl train -o dense.h5 | htl prune -o pruned.h5 \\
      | htl score | htl resample --by pruned_loss | htl train -o attended.h5 \\
      | htl evaluate --against dense.h5
    htl export --onnx --model attended.h5 -o lesion.onnx

    Rows go from command to command as JSON Lines; talk goes to stderr. `htl help COMMAND` opens a command's manual page,
    `htl help` that of htl, `htl help stream` that of the format, and `htl help tutorial` leads from a folder to a finding.
    """
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(2)


def show_page(
    topic: str = typer.Argument("htl", help="A command, stream, tutorial, or htl.", autocompletion=lambda: [*COMMANDS, *OTHER_PAGES]),
) -> int:
    """Open a page of the manual, or print the help where there is no page or no man(1)."""
    import shutil
    import subprocess
    from pathlib import Path

    if topic not in ("htl", *OTHER_PAGES, *COMMANDS):
        raise UsageError(f"there is no page on {topic!r}", f"there are htl, {', '.join(COMMANDS)}, {' and '.join(OTHER_PAGES)}")
    section = OTHER_PAGES.get(topic, 1)
    page = "htl.1" if topic == "htl" else f"htl-{topic}.{section}"
    places = Path(__file__).parents[1] / "man" / page, Path(sys.prefix) / "share" / "man" / f"man{section}" / page
    found = next((place for place in places if place.is_file()), None)
    if found and shutil.which("man"):
        return subprocess.call(["man", str(found)])
    return run([topic, "--help"] if topic in COMMANDS else ["--help"])


def main(args: list[str] | None = None) -> int:
    """Run htl and return its exit code."""
    interruption.listen()
    try:
        code = interruption.code_of(outcome(args))
    except (KeyboardInterrupt, interruption.Terminated) as error:  # while another failure was told
        code = told(error)
    if args is None:
        interruption.ignore_after_exit(code)
    else:
        interruption.restore()
    return code


def outcome(args: list[str] | None) -> int:
    """The exit code of a command, whatever happens in it, which is told in one line."""
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
        code = told(error)
    abandon_stdout()
    return code


def told(error: BaseException) -> int:
    """Say why a command failed, in one line; its exit code."""
    match error:
        case SystemError() if interruption.received:  # what C makes of a signal that came while it called back
            return interruption.CODES[interruption.received[0]]
        case KeyboardInterrupt():
            return 130
        case interruption.Terminated():
            return 143
        case ClosedPipe():
            code, message = error.exit_code, None
        case HtlError():
            code, message = error.exit_code, str(error)
        case typer.TyperException():  # a wrong flag
            context = getattr(error, "ctx", None)
            console.talk.command = context.command_path if context else "htl"
            code, message = error.exit_code, f"{error.format_message().rstrip('.')}; see {console.talk.command} --help"
        case MemoryError():
            code, message = 75, "out of memory; try a smaller --batch-size or --size"
        case _:
            code, message = unforeseen(error)
    if message:
        console.complain(message)
    return code


def run(args: list[str] | None) -> int:
    """The exit code of a command that ended by itself."""
    command = typer.main.get_command(app)
    result = command.main(args, prog_name="htl", standalone_mode=False)
    return result if isinstance(result, int) else 0


def unforeseen(error: Exception) -> tuple[int, str]:
    """Exit code and line for an exception that no command foresaw."""
    if type(error).__name__ == "OutOfMemoryError":
        return 75, "the device is out of memory; try a smaller --batch-size"
    if isinstance(error, BrokenPipeError):
        return 141, "the reader of our output went away"
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        code = {errno.ENOENT: 66, errno.EACCES: 73, errno.EROFS: 73, errno.EEXIST: 73}.get(error.errno, 74)
        return code, f"{error.strerror or error}{where}"
    return 1, f"unexpected {type(error).__name__}: {error}; run again with --debug to see where"


def close_stdout() -> None:
    """Flush what is left: a full disk or a closed pipe must not pass for success."""
    from htltools.formats.rows.jsonlines import writing

    with writing():
        sys.stdout.flush()


def abandon_stdout() -> None:
    """Keep Python from flushing a broken stdout again on its way out, and from complaining about it."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
