"""Ctrl-C and SIGTERM end a command whatever it is doing, also where Python only prints the exception that a handler raised."""

import os
import signal
import sys
import threading
from types import FrameType

CODES: dict[int, int] = {signal.SIGINT: 130, signal.SIGTERM: 143}  # exit code by signal
received: list[int] = []  # signals since `install`


class Terminated(BaseException):
    """SIGTERM arrived."""


def install() -> None:
    """Make Ctrl-C raise KeyboardInterrupt (unless it is ignored, as in a background job), and SIGTERM raise Terminated."""
    received.clear()
    signal.signal(signal.SIGTERM, handler)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, handler)
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = resend


def handler(number: int, frame: FrameType | None) -> None:
    """Record a signal, and raise its exception, so that files are cleaned up on the way out."""
    received.append(number)
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def resend(unraisable) -> None:
    """Send a signal again whose exception Python could only print: it arrived in a destructor or in a callback from C."""
    if isinstance(unraisable.exc_value, (KeyboardInterrupt, Terminated)):
        number = signal.SIGTERM if isinstance(unraisable.exc_value, Terminated) else signal.SIGINT
        timer = threading.Timer(0.02, os.kill, [os.getpid(), number])
        timer.daemon = True
        timer.start()
    else:
        sys.__unraisablehook__(unraisable)


def code_after_signal(code: int) -> int:
    """The exit code of a signal where a command returned 0 although one arrived: a script must not go on; else `code`."""
    return CODES[received[0]] if received and code == 0 else code


def ignore_from_now(code: int) -> None:
    """The command is done: a signal during Python's exit ends it with `code`, without a traceback."""
    for number in CODES:
        if signal.getsignal(number) is handler:
            signal.signal(number, lambda *_: os._exit(code))


def restore() -> None:
    """Handle signals as before `install`, for a caller in this process that goes on."""
    for number, default in (signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL):
        if signal.getsignal(number) is handler:
            signal.signal(number, default)
    if sys.unraisablehook is resend:
        sys.unraisablehook = sys.__unraisablehook__
