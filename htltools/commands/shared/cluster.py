"""`--ray`: the work of a command, spread over a Ray cluster by Ray Data. Results come back in the order of the items.

What runs on the nodes are the functions of the command itself; the calling process reads and checks the input before, and writes the
rows. An item that a lost worker had is done again by another one, so what is done must be safe to do twice.
"""

import os
import pickle
import socket
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count as counting
from itertools import islice
from typing import Any

from htltools import __version__, console
from htltools.errors import CannotCreate, DeviceMissing, HtlError, MissingInput, StorageError, TryAgain
from htltools.formats.remote.address import cache_folder

SINGLE = 256  # blocks of one item, before they have more
RETRIES = 30  # of an item; until Ray gives up a node that is gone, an item that waits for it takes some
OF_NODES = MissingInput, CannotCreate, StorageError, DeviceMissing, TryAgain  # errors that may be those of one node


@dataclass(frozen=True)
class Caller:
    """What a node takes over from the process that calls it: the version of htl, the working folder, and the folder of the cache."""

    version: str
    folder: str
    cache: str

    def enter(self) -> None:
        """Take it over.

        Raises: DeviceMissing where another htl is installed; MissingInput where the folder is not there.
        """
        if __version__ != self.version:
            raise DeviceMissing(f"htl {__version__} is installed here, and {self.version} calls it", "install one version on all nodes")
        try:
            os.chdir(self.folder)
        except OSError:
            raise MissingInput(f"{self.folder}, from which htl was called, is not there") from None
        os.environ["HTL_CACHE"] = self.cache
        console.talk.quiet = True


class Worker:
    """Runs on a node: `make(*arguments)` once, and what it gives on each item. No exception leaves it: they come back as results."""

    def __init__(self, caller: Caller, make: Callable[..., Callable[[Any], Any]], arguments: tuple):
        self.caller, self.make, self.arguments = caller, make, arguments
        self.work: Callable[[Any], Any] | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, bytes]:
        try:
            if self.work is None:
                self.caller.enter()
                self.work = self.make(*self.arguments)
            return {"result": pickle.dumps(self.work(pickle.loads(row["item"])))}
        except OF_NODES as error:
            return failure(type(error)(f"on the node {socket.gethostname()}: {error}"))
        except Exception as error:
            return failure(error)


class Failure:
    """An exception of a node, as a result."""

    def __init__(self, error: Exception):
        self.error = error


def failure(error: Exception) -> dict[str, bytes]:
    """The result of an item that failed."""
    try:
        return {"result": pickle.dumps(Failure(error))}
    except Exception:  # an exception of a library that cannot be pickled
        return {"result": pickle.dumps(Failure(HtlError(f"unexpected {type(error).__name__}: {error}")))}


def once(row: dict[str, Any], *parts: Any) -> dict[str, bytes]:
    """As `Worker`, for work that keeps nothing from item to item."""
    return Worker(*parts)(row)


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster to which this process is connected. workers: that may run at a time; gpu: whether each has one."""

    workers: int
    gpu: bool

    @property
    def device(self) -> str:
        """The device of models on it."""
        return "cuda" if self.gpu else "cpu"

    def results(self, make: Callable, arguments: tuple, items: Iterable[Any], *, actors: bool) -> Iterator[Any]:
        """`make(*arguments)(item)` of each item, in order. All items are read before the first is done; Ray keeps them, on disk where
        they are many. `make` is a function or class of a module, so that nodes can import it; all that is sent is pickled.

        actors: whether what `make` gives, such as models, is kept from item to item; these have the GPUs.

        Raises: what the work raises; TryAgain where the cluster gives up.
        """
        import ray
        from ray.data import ActorPoolStrategy, TaskPoolStrategy, from_arrow_refs

        kept = [ray.put(block) for block in blocks(items)]
        if not kept:
            return
        parts = Caller(__version__, os.getcwd(), str(cache_folder())), make, arguments
        workers = min(self.workers, len(kept))
        how: dict[str, Any]
        if actors:
            pool = ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2)
            how = {"compute": pool, "fn_constructor_args": parts, "num_gpus": 1 if self.gpu else None}
            limits = {"max_restarts": -1, "max_task_retries": RETRIES}
        else:
            how = {"compute": TaskPoolStrategy(size=workers), "fn_args": parts}
            limits = {"max_retries": RETRIES}
        try:
            done = mapped(from_arrow_refs(kept), Worker if actors else once, how | {"num_cpus": 1}, limits)
            for block in done.iter_batches(batch_size=None, batch_format="pyarrow"):
                for value in block["result"]:
                    result = pickle.loads(value.as_buffer())
                    if isinstance(result, Failure):
                        raise result.error
                    yield result
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[0]
            raise TryAgain(f"the Ray cluster gave up ({reason})", "the same command may succeed; Ray's logs tell more") from None


def blocks(items: Iterable[Any]) -> Iterator[Any]:
    """The items, pickled, in tables of Arrow: one each, and the more of them the longer the list is, as each table takes Ray some
    milliseconds.
    """
    import pyarrow

    items = iter(items)
    for count in counting():
        if not (some := [pickle.dumps(item) for item in islice(items, 1 + count // SINGLE)]):
            return
        yield pyarrow.table({"item": pyarrow.array(some, pyarrow.large_binary())})


def mapped(data: Any, work: Any, how: dict[str, Any], limits: dict[str, int]) -> Any:
    """A dataset of Ray with work done on each item. limits: of retries, which Ray 2.64 no longer takes: it then tries for ever."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it will not
        try:
            return data.map(work, **how, **limits)
        except TypeError:
            return data.map(work, **how)
