"""`--nproc N`: the command once more, in several processes that share its work."""

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
    """Check the rows, then run this process's own command line in so many processes, by torch's elastic launcher: their exit code.

    Where a worker is killed from outside, all start again, at most three times: a training goes on after its last epoch.

    Raises: TryAgain where workers are killed time and again; DataError, MissingInput as the rows are.
    """
    with file_of(rows) as path:
        for _ in open_rows(path, partial=partial):
            pass
        words = [word for word in sys.argv[1:] if word != "-"]
        arguments = words if path == rows else [*words, str(path)]
        os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // count, 1)))
        for left in reversed(range(RESTARTS + 1)):
            code = exit_code(count, arguments)
            if code >= 0:
                return code
            console.say(f"a worker was killed by signal {-code}" + (": all start again" if left else ""))
    raise TryAgain("workers are killed time and again, perhaps for want of memory", "run again with fewer --nproc")


@contextmanager
def file_of(rows: Path | None) -> Iterator[Path]:
    """The rows as something that several processes can read: stdin is kept in a file for as long as they need it."""
    if rows is not None and str(rows) != "-":
        yield rows
        return
    with tempfile.TemporaryDirectory(prefix="htl-") as folder:
        path = Path(folder, "stdin")
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path


def exit_code(count: int, arguments: list[str]) -> int:
    """What the workers end with: 0, the first failure's exit code, or minus a signal; 128 and more where this process was told to end."""
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the workers say themselves what is wrong
    meeting = {"run_id": str(os.getpid()), "rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0"}
    one_machine = LaunchConfig(1, 1, count, **meeting, max_restarts=0)
    try:
        elastic_launch(one_machine, sys.executable)("-m", "htltools", *arguments)
    except ChildFailedError as error:
        return error.get_first_failure()[1].exitcode
    except SignalException as error:
        return 128 + error.sigval
    return 0
