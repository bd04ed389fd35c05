"""Work that makes a million objects, none of them rubbish: looking for rubbish among them takes as long as making them."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collecting() -> Iterator[None]:
    """Python collects no rubbish in this context, also where contexts are nested."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
