"""JSON Lines as bytes: compact, UTF-8, and never NaN or Infinity."""

import errno
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from htltools.errors import ClosedPipe, DataError, StorageError


def refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python's json would read."""
    raise ValueError(f"{name} is not allowed")


# made once: json.dumps would make one for each line
ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

# characters that JSON allows and that could steer a terminal or reverse its text: DEL, C1, and marks of direction and lines
STEERING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def compact_json(value: Any) -> bytes:
    """The value as one line of JSON, without the newline and without any character that steers a terminal.

    Raises: DataError where it holds NaN or Infinity.
    """
    try:
        text = ENCODER.encode(value)
        return (text if text.isprintable() else STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)).encode()
    except (ValueError, UnicodeEncodeError, RecursionError) as error:
        raise DataError(f"a value cannot be written as JSON ({error})") from error


def parsed_json(line: bytes | str) -> Any:
    """The value of one line of JSON.

    Raises: ValueError where the line is no JSON, or holds NaN or Infinity.
    """
    try:
        return json.loads(line, parse_constant=refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def joined_lines(values: Iterable[Any]) -> bytes:
    """The values as JSON Lines."""
    return b"".join(compact_json(value) + b"\n" for value in values)


def split_lines(data: bytes) -> list[Any]:
    """The values of JSON Lines."""
    return [parsed_json(line) for line in data.splitlines()]


@contextmanager
def writing() -> Iterator[None]:
    """Turn the errors of writing to stdout into ours.

    Raises: ClosedPipe where the reader went away; StorageError, as on a full disk.
    """
    try:
        yield
    except BrokenPipeError:
        raise ClosedPipe("the reader of our output went away") from None
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise ClosedPipe("the reader of our output went away") from None
        raise StorageError(f"cannot write to stdout ({error.strerror})") from None
