"""Work in a child process: for decoders that crash, or never return, on a damaged file."""

import faulthandler
import io
import os
import signal
from collections.abc import Callable

import numpy as np

from htltools.errors import DataError

SECONDS = 300  # that the work may take


def in_child_process(work: Callable[[], np.ndarray]) -> np.ndarray:
    """The result of `work` in a fork of this process; in this process where there is no fork.

    Raises: DataError with a short reason where the work fails, or its process crashes or takes too long.
    """
    if not hasattr(os, "fork"):
        return work()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        send_result(work, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        result = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        raise DataError(f"its decoder broke down ({signal.Signals(-status).name if status < 0 else status})")
    if result.startswith(b"\x93NUMPY"):
        return np.load(io.BytesIO(result))
    raise DataError(f"its pixels cannot be decoded ({result.decode()})")


def send_result(work: Callable[[], np.ndarray], writing: int) -> None:
    """Send the result of the work, or the name of its error, and end the process without output."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where C++ prints as it aborts
        for number in (signal.SIGALRM, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        faulthandler.disable()
        signal.alarm(SECONDS)
        out = io.BytesIO()
        try:
            np.save(out, work())
        except Exception as error:
            out = io.BytesIO(type(error).__name__.encode())
        with open(writing, "wb") as pipe:
            pipe.write(out.getbuffer())
        os._exit(0)
    finally:
        os._exit(1)
