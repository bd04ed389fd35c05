"""`--ray`: the work of a command, spread over a Ray cluster by Ray Data. Results come back in the order of the items.

What runs on the nodes are the functions of the command itself; the calling process reads and checks the input before, and writes the
rows. An item that a lost worker had is done again by another one, so what is done must be safe to do twice.
"""

import logging
import os
import pickle
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count as counting
from itertools import islice
from typing import Any

from htltools import __version__, console
from htltools.errors import CannotCreate, DeviceMissing, HtlError, MissingInput, StorageError, TryAgain, UsageError
from htltools.formats.remote.address import cache_folder
from htltools.processes import several_processes

SINGLE = 256  # blocks of one item, before they have more
RETRIES = 30  # of an item; until Ray gives up a node that is gone, an item that waits for it takes some
LISTENING = 10  # seconds for a cluster to answer
OF_NODES = MissingInput, CannotCreate, StorageError, DeviceMissing, TryAgain  # errors that may be those of one node
DEVICES = "auto", "cpu", "cuda"


@dataclass(frozen=True)
class Caller:
    """What a node takes over from the process that calls it: the version of htl, the working folder, and the folder of the cache."""

    version: str
    folder: str
    cache: str

    def enter(self) -> None:
        """Take it over.

        Raises: DataError, MissingInput where the node is another kind of place.
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


@contextmanager
def without_stderr() -> Iterator[None]:
    """Keep from stderr what is not Python's, as Ray's core has no other switch for its first line."""
    sys.stderr.flush()
    try:
        before = os.dup(2)
    except OSError:
        yield
        return
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


@contextmanager
def ray_cluster(address: str | None, device: str = "cpu", jobs: int = 0) -> Iterator[Cluster | None]:
    """The Ray cluster at an address, or with `auto` the one that runs on this machine; None without an address.

    device: of models, auto, cpu or cuda. jobs: most workers at a time, 0 = one for each CPU, or GPU where models have them.

    Raises: UsageError; DeviceMissing where there is no cluster, or no GPU in it that is asked for, or where ray is not installed.
    """
    if address is None:
        yield None
        return
    if several_processes():
        raise UsageError("--ray spreads the work itself", "leave out --nproc-per-node and torchrun")
    if device not in DEVICES:
        raise UsageError(f"--ray takes --device {', '.join(DEVICES)}, not {device!r}", "Ray chooses the GPUs")
    if address.startswith("ray://"):
        raise UsageError("--ray takes no address of Ray's client (ray://)", "call htl on a node, with --ray auto")
    stdout, handler = sys.stdout, signal.getsignal(signal.SIGTERM)
    sys.stdout = OnlyRows(stdout)
    connected = False
    try:
        connected = connect(address)
        signal.signal(signal.SIGTERM, handler)  # Ray sets its own
        yield found_cluster(device, jobs)
    finally:
        sys.stdout = stdout
        if connected:
            sys.modules["ray"].shutdown()


def connect(address: str) -> bool:
    """Connect this process to a cluster, and give True, or False where it is connected already. Ray's messages are kept from stderr.

    Raises: DeviceMissing.
    """
    quiet = {"RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_DATA_DISABLE_PROGRESS_BARS": "1", "RAY_COLOR_PREFIX": "0"}
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        from ray.data import DataContext
    except ModuleNotFoundError as error:
        raise DeviceMissing(f"--ray needs {error.name}, which is not installed", "pip install 'htltools[ray]'") from None
    if ray.is_initialized():
        return False
    try:
        refuse_silence(address)
        with without_stderr():
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        where = "no Ray cluster runs here" if address == "auto" else f"no Ray cluster can be reached at {address}"
        raise DeviceMissing(f"{where} ({reason})", "start one with ray start --head, see RAY CLUSTERS in htl(1)") from None
    context = DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.execution_options.preserve_order = True
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return True


def refuse_silence(address: str) -> None:
    """Refuse an address where nobody listens: Ray would wait for minutes.

    Raises: OSError, ValueError.
    """
    if address != "auto":
        host, _, port = address.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=LISTENING).close()


def found_cluster(device: str, jobs: int) -> Cluster:
    """The cluster to which this process is connected.

    Raises: DeviceMissing where it has no GPU, and one is asked for.
    """
    import ray

    resources = ray.cluster_resources()
    cpus, gpus = (int(resources.get(name, 0)) for name in ("CPU", "GPU"))
    if device == "cuda" and not gpus:
        raise DeviceMissing("the Ray cluster has no GPU", "use --device cpu or auto")
    gpu = device != "cpu" and gpus > 0
    nodes = sum(node["Alive"] for node in ray.nodes())
    console.say(f"Ray cluster of {nodes} node{'s' if nodes > 1 else ''}, {cpus} CPUs and {gpus} GPUs")
    most = max(gpus if gpu else cpus, 1)
    return Cluster(min(jobs or most, most), gpu)


class OnlyRows:
    """stdout for what is written as bytes, which rows are. Text that is printed there, as Ray prints what happens to workers, goes to
    stderr with -v."""

    def __init__(self, stdout):
        self.stdout = stdout

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stdout, name)

    def write(self, text: str) -> int:
        """Keep text from stdout."""
        if text.strip():
            console.explain(text)
        return len(text)
