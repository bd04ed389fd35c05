"""The `htl` program: finds the subcommand, runs it, and turns whatever happens into one line and an exit code."""

import errno
import importlib
import os
import signal
import sys
import traceback

import typer
from typer.core import TyperGroup

from htltools import __version__, console
from htltools.errors import ClosedPipe, HtlError

COMMANDS = ("prepare", "train", "prune", "score", "resample", "evaluate", "export", "view")


class LazyGroup(TyperGroup):
    """A group whose commands are modules of `htltools.commands`, imported when they are asked for."""

    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, name):
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"htltools.commands.{name}")
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name, context_settings=HELP)(getattr(module, name))
        return typer.main.get_command(single)

    def resolve_command(self, ctx, args):
        self.commands = dict.fromkeys(COMMANDS)  # what "Did you mean" chooses from
        return super().resolve_command(ctx, args)


HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

app = typer.Typer(
    cls=LazyGroup,
    context_settings=HELP | {"auto_envvar_prefix": "HTL"},
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

    Rows go from command to command as JSON Lines; talk goes to stderr. See htl(1) and htl-stream(5).
    """
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(2)


class Terminated(BaseException):
    """SIGTERM arrived."""


def raise_terminated(signum, frame):
    """What SIGTERM does: end like Ctrl-C, cleaning up on the way."""
    raise Terminated


def main(args: list[str] | None = None) -> int:
    """Run htl and return its exit code."""
    signal.signal(signal.SIGTERM, raise_terminated)
    debug = "--debug" in (sys.argv if args is None else args)
    try:
        code = run(args)
        close_stdout()
        return code
    except HtlError as error:
        if not isinstance(error, ClosedPipe):
            console.complain(str(error))
        code = error.exit_code
    except typer.TyperException as error:  # a wrong flag, with typer's own words
        error.show()
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except Terminated:
        code = 143
    except MemoryError:
        console.complain("out of memory; try a smaller --batch-size or --size")
        code = 75
    except Exception as error:
        code, message = unforeseen(error)
        console.complain(message)
    if debug:
        traceback.print_exc()
    abandon_stdout()
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
    from htltools.formats.stream import writing

    with writing():
        sys.stdout.flush()


def abandon_stdout() -> None:
    """Keep Python from flushing a broken stdout again on its way out, and from complaining about it."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
