"""Every way htl can fail, each with its exit code.

HtlError                1    anything without a code of its own
├── UsageError          2    flags that are wrong or contradict each other
├── NotMet              3    `evaluate --fail-under` was not reached
├── DataError          65    rows, images or files that are invalid, truncated or inconsistent
├── MissingInput       66    an input is not there
├── DeviceMissing      69    the device, execution provider or extra asked for is not there
├── CannotCreate       73    the output exists already, or its folder cannot be written
├── StorageError       74    reading or writing failed (a full disk)
├── TryAgain           75    a temporary shortage, such as of memory or a connection: the same command may succeed
└── ClosedPipe        141    the reader of our output went away

130 (Ctrl-C) and 143 (SIGTERM) are signals, not errors: see `cli.main`.
"""


class HtlError(Exception):
    """A failure reported in one line: the cause, then the remedy if there is one."""

    exit_code = 1

    def __init__(self, cause: str, remedy: str | None = None):
        super().__init__(f"{cause}; {remedy}" if remedy else cause)


class UsageError(HtlError):
    """Flags that are wrong or contradict each other."""

    exit_code = 2


class NotMet(HtlError):
    """A threshold that the user set was not reached."""

    exit_code = 3


class DataError(HtlError):
    """Rows, images or files that are invalid, truncated or inconsistent."""

    exit_code = 65


class MissingInput(HtlError):
    """An input is not there."""

    exit_code = 66


class DeviceMissing(HtlError):
    """The device or execution provider asked for is not there."""

    exit_code = 69


class CannotCreate(HtlError):
    """The output exists already, or cannot be created."""

    exit_code = 73


class StorageError(HtlError):
    """Reading or writing failed."""

    exit_code = 74


class TryAgain(HtlError):
    """A temporary shortage: the same command may succeed later, or with less."""

    exit_code = 75


class ClosedPipe(HtlError):
    """The reader of our output went away."""

    exit_code = 141


TORCH = "torch", "torchvision", "torch_pruning"  # modules that a light installation of htl does without


def torch_missing(error: ModuleNotFoundError, who: str) -> Exception:
    """What to raise where a module is not installed: a sentence on what `who` is without torch, or the error itself for another module."""
    if error.name not in TORCH:
        return error
    remedy = "install htl whole (INSTALLATION in htl(1)), or take ONNX files, which htl export makes of checkpoints where torch is"
    return DeviceMissing(f"{who} needs {error.name}, which is not installed", remedy)
