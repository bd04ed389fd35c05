"""Ctrl-C and SIGTERM: they end a command whatever it is doing, also where Python would swallow them."""

import os
import signal
import sys
import threading

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
received: list[int] = []  # what came since `listen`


class Terminated(BaseException):
    """SIGTERM arrived."""


def listen() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt (unless it is ignored, as in a background job), and SIGTERM raises Terminated."""
    received.clear()
    signal.signal(signal.SIGTERM, handler)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, handler)
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = repeat


def handler(number: int, frame) -> None:
    """Remember a signal, and end what goes on, cleaning up on the way."""
    received.append(number)
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def repeat(unraisable) -> None:
    """Send a signal once more that came while Python took an object apart or was called back by C: there an exception is only printed."""
    if isinstance(unraisable.exc_value, (KeyboardInterrupt, Terminated)):
        number = signal.SIGTERM if isinstance(unraisable.exc_value, Terminated) else signal.SIGINT
        timer = threading.Timer(0.02, os.kill, [os.getpid(), number])
        timer.daemon = True
        timer.start()
    else:
        sys.__unraisablehook__(unraisable)


def code_of(code: int) -> int:
    """The exit code of a command that ended with `code`: that of a signal where one came and was lost, for a script should not go on."""
    return CODES[received[0]] if received and code == 0 else code


def ignore_after_exit(code: int) -> None:
    """The command is done: a signal on the way out changes nothing any more, and brings no traceback."""
    for number in CODES:
        if signal.getsignal(number) is handler:
            signal.signal(number, lambda *_: os._exit(code))


def restore() -> None:
    """Hear signals as Python does by itself, for a caller who goes on."""
    for number, usual in {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}.items():
        if signal.getsignal(number) is handler:
            signal.signal(number, usual)
    if sys.unraisablehook is repeat:
        sys.unraisablehook = sys.__unraisablehook__
