"""The processes that decode for `prepare`, on all cores."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from htltools.commands._decoding import Decoded, Work, decoded
from htltools.errors import TryAgain
from htltools.formats.source import Candidate

CHUNK = 8  # candidates per message to a worker


def decoded_chunk(candidates: Sequence[Candidate], work: Work) -> list[Decoded]:
    """The samples of a few candidates."""
    return [decoded(candidate, work) for candidate in candidates]


def decoded_shards(
    executor: Executor | None, batches: Iterable[tuple[int, list[Candidate]]], work: Work, advance: Callable[[int], None]
) -> Iterator[tuple[int, list[Decoded]]]:
    """The samples of each batch, in order; the next batch is at work while one is used. No executor: in this process.

    Raises: TryAgain where a worker was killed.
    """
    ahead: deque = deque()
    for number, candidates in batches:
        chunks = [candidates[i : i + CHUNK] for i in range(0, len(candidates), CHUNK)]
        if executor is None:
            yield number, collected((decoded_chunk(chunk, work) for chunk in chunks), advance)
            continue
        ahead.append((number, [executor.submit(decoded_chunk, chunk, work) for chunk in chunks]))
        if len(ahead) > 1:
            yield results(*ahead.popleft(), advance)
    while ahead:
        yield results(*ahead.popleft(), advance)


def results(number: int, futures: list, advance: Callable[[int], None]) -> tuple[int, list[Decoded]]:
    """What the workers made of one batch."""
    try:
        return number, collected((future.result() for future in futures), advance)
    except BrokenProcessPool:
        raise TryAgain("a decoding process was killed, perhaps for want of memory", "run again with fewer --jobs") from None


def collected(chunks: Iterable[list[Decoded]], advance: Callable[[int], None]) -> list[Decoded]:
    """The chunks in one list."""
    samples: list[Decoded] = []
    for chunk in chunks:
        samples += chunk
        advance(len(chunk))
    return samples


@contextmanager
def pool(jobs: int) -> Iterator[Executor | None]:
    """Worker processes; None for one job. If the work is broken off, for whatever reason, they end at once."""
    if jobs <= 1:
        yield None
        return
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    context.set_forkserver_preload([__name__, "htltools.cli"])
    executor = ProcessPoolExecutor(jobs, context, become_worker)
    try:
        with deaf():
            executor.submit(os.getpid)  # starts the processes
        yield executor
        executor.shutdown()
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        raise


@contextmanager
def deaf() -> Iterator[None]:
    """Start processes that do not hear Ctrl-C; here it is heard, like SIGTERM, once they all stand."""
    heard: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: heard.append(number)) for number in (signal.SIGINT, signal.SIGTERM)}
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # children inherit this, but no handler
    try:
        yield
    finally:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for number, handler in before.items():
            signal.signal(number, handler)
    for number in heard:
        signal.raise_signal(number)


def become_worker() -> None:
    """Leave Ctrl-C to the parent, let go of its stdout, and end when it does, even by SIGKILL: a pipe would hang."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in 0, 1:
        os.dup2(nothing, stream)
    os.close(nothing)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """Wait for the parent's end, then end."""
    multiprocessing.parent_process().join()
    os._exit(1)
