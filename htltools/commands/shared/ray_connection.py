"""The connection of `--ray` to a Ray cluster: found, counted and given up again, with Ray's own talk kept from stdout and stderr."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from htltools import console
from htltools.commands.shared.cluster import Cluster
from htltools.errors import DeviceMissing, UsageError
from htltools.processes import several_processes

DEVICES = "auto", "cpu", "cuda"
LISTENING = 10  # seconds for a cluster to answer


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
        try:
            if connected:
                sys.modules["ray"].shutdown()  # which prints what it has not said yet
        finally:
            sys.stdout = stdout


def connect(address: str) -> bool:
    """Connect this process to a cluster, and give True, or False where it is connected already. Ray's messages are kept from stderr.

    Raises: DeviceMissing.
    """
    quiet = {
        "RAY_ENABLE_AUTO_CONNECT": "0",
        "RAY_BACKEND_LOG_LEVEL": "fatal",
        "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
        "RAY_COLOR_PREFIX": "0",
    }
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
