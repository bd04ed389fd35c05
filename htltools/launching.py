"""`--nproc-per-node N`: the command again, in several processes that share its work."""

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from htltools import console
from htltools.errors import TryAgain
from htltools.formats.sources.open_rows import open_rows

RESTARTS = 3  # after a worker was killed


def launch(count: int, rows: Path | None, partial: bool) -> int:
    """Check the rows, then run this process's own command line in `count` processes, by torch's elastic launcher: their exit code.

    Where a worker is killed from outside, all start again, at most three times: a training goes on after its last epoch.

    Raises: TryAgain where a worker was killed each time; DataError, MissingInput from reading the rows.
    """
    with file_of(rows) as path:
        for _ in open_rows(path, partial=partial):
            pass
        words = [word for word in sys.argv[1:] if word != "-"]
        arguments = words if path == rows else [*words, str(path)]
        os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // count, 1)))
        for left in reversed(range(RESTARTS + 1)):
            code = exit_code_of_workers(count, arguments)
            if code >= 0:
                return code
            console.say(f"a worker was killed by signal {-code}" + (": all start again" if left else ""))
    raise TryAgain("workers are killed again and again, perhaps for lack of memory", "run again with a smaller --nproc-per-node")


@contextmanager
def file_of(rows: Path | None) -> Iterator[Path]:
    """A file of the rows, which several processes can read: stdin is copied to a temporary one."""
    if rows is not None and str(rows) != "-":
        yield rows
        return
    with tempfile.TemporaryDirectory(prefix="htl-") as folder:
        path = Path(folder, "stdin")
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path


def exit_code_of_workers(count: int, arguments: list[str]) -> int:
    """The exit code of the workers: 0, that of the first failure, or minus its signal; 128 + signal where this process was to end."""
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the workers report their errors themselves
    one_machine = LaunchConfig(1, 1, count, run_id=str(os.getpid()), rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0)
    try:
        with tempfile.TemporaryDirectory(prefix="htl-") as said:
            os.environ[console.SAID] = said
            elastic_launch(one_machine, sys.executable)("-m", "htltools", *arguments)
    except ChildFailedError as error:
        return error.get_first_failure()[1].exitcode
    except SignalException as error:
        return 128 + error.sigval
    finally:
        os.environ.pop(console.SAID, None)
    return 0
