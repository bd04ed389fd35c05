"""The processes that decode for `prepare`, on all cores."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.context import BaseContext
from typing import Any

from htltools.commands.prepare.decode import Sample, Settings, Skip, decoded
from htltools.errors import TryAgain
from htltools.formats.sources.candidate import Candidate

counter: Any = None  # in a worker, `Workers.done`
CHUNK = 8  # candidates per message to a worker
AHEAD = 512  # candidates at work or done while a shard is written: enough that no worker waits, and no more images in memory


def decoded_chunk(candidates: Sequence[Candidate], settings: Settings) -> list[Sample | Skip]:
    """The samples of a few candidates."""
    return [decoded(candidate, settings) for candidate in candidates]


def decoded_samples(executor: Executor | None, candidates: Iterable[Candidate], settings: Settings) -> Iterator[Sample | Skip]:
    """The samples of the candidates, in order, while the next AHEAD are at work. No executor: in this process.

    Raises: TryAgain where a worker was killed.
    """
    if executor is None:
        use_one_thread()
        yield from (decoded(candidate, settings) for candidate in candidates)
        return
    ahead: deque[Future] = deque()
    candidates = iter(candidates)
    with loss_of_a_worker_explained():
        while chunk := list(islice(candidates, CHUNK)):
            ahead.append(executor.submit(decoded_chunk, chunk, settings))
            if len(ahead) > AHEAD // CHUNK:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()


def count_done(images: int) -> None:
    """In a worker: so many images more are done."""
    with counter.get_lock():
        counter.value += images


@contextmanager
def loss_of_a_worker_explained() -> Iterator[None]:
    """Raises: TryAgain where a worker was killed."""
    try:
        yield
    except BrokenProcessPool:
        raise TryAgain("a decoding process was killed, perhaps for want of memory", "run again with fewer --jobs") from None


class Workers(ProcessPoolExecutor):
    """Worker processes. `done`: a number that tasks may count up, to say how far they are."""

    def __init__(self, jobs: int, context: BaseContext):
        self.jobs, self.done = jobs, context.Value("q", 0)
        super().__init__(jobs, context, initialise_worker, (self.done,))


@contextmanager
def pool(jobs: int) -> Iterator[Workers | None]:
    """Worker processes; None for one job. If the work is broken off, for whatever reason, they end at once."""
    if jobs <= 1:
        yield None
        return
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    context.set_forkserver_preload([__name__, "htltools.formats.images.jpeg", "htltools.cli"])
    executor = Workers(jobs, context)
    try:
        with sigint_blocked():
            executor.submit(os.getpid)  # starts the processes
        yield executor
        executor.shutdown()
    except BaseException:
        for process in multiprocessing.active_children():
            process.kill()
        executor.shutdown(cancel_futures=True)  # with its thread: at the end of Python it would complain of closed pipes
        raise


@contextmanager
def sigint_blocked() -> Iterator[None]:
    """Processes started in this context do not receive SIGINT; here SIGINT and SIGTERM take effect at its end."""
    received: list[int] = []
    handled = signal.SIGINT, signal.SIGTERM
    before = [signal.signal(number, lambda number, frame: received.append(number)) for number in handled]
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # children inherit this, but no handler
    try:
        yield
    finally:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for number, handler in zip(handled, before, strict=True):
            signal.signal(number, handler)
    for late in received:
        signal.raise_signal(late)


def use_one_thread() -> None:
    """Leave the other cores to the other workers."""
    from htltools.formats.images import jpeg

    jpeg.use_one_thread()


def initialise_worker(done: Any) -> None:
    """Leave SIGINT to the parent, close its stdout, and end when it does, even by SIGKILL: a pipe would hang."""
    global counter
    counter = done
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in 0, 1:
        os.dup2(nothing, stream)
    os.close(nothing)
    use_one_thread()
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """Wait for the parent's end, then end."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
