"""`--ray`: prepare, score and predict on a Ray cluster of two nodes on this machine, of which workers and a node are killed."""

import contextlib
import io
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from htltools.errors import DataError, MissingInput
from tests.conftest import ROOT, made

pytest.importorskip("ray")
if not Path("/proc/self").exists():
    pytest.skip("processes are found by way of /proc", allow_module_level=True)

from htltools.commands.prepare import shards, write
from htltools.commands.shared import cluster as engine
from htltools.commands.shared import ray_connection
from htltools.commands.shared.ray_connection import ray_cluster
from htltools.formats.sources.candidate import Candidate

QUIET = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
LOST = {"health_check_period_ms": 500, "health_check_timeout_ms": 30000, "health_check_failure_threshold": 3}  # when a node is given up
BYTES = 80_000_000  # of a node's memory for objects


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two nodes with a CPU each, to which the tests are connected: each connection has workers of its own, which take long."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUIET.items():
            patch.setenv(name, value)
        how = {"num_cpus": 1, "object_store_memory": BYTES, "include_dashboard": False}
        both = Cluster(initialize_head=True, head_node_args=how | {"_system_config": LOST})
        both.add_node(num_cpus=1, object_store_memory=BYTES)
        with ray_cluster(both.address):
            yield both
        both.shutdown()


def busy_workers(name: str) -> list[int]:
    """The numbers of the processes of Ray that are at work under a name."""
    numbers = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            if path.read_bytes().startswith(f"ray::{name}".encode()):
                numbers.append(int(path.parent.name))
    return numbers


@pytest.fixture
def once_busy():
    """`once_busy(name, count, action)` calls an action as soon as so many workers are at work under a name, in the background."""
    ended, threads = threading.Event(), []

    def begin(name: str, count: int, action: Callable[[list[int]], None]) -> None:
        def watch() -> None:
            while not ended.wait(0.01):
                if len(workers := busy_workers(name)) >= count:
                    action(workers)
                    return

        threads.append(threading.Thread(target=watch))
        threads[-1].start()

    yield begin
    ended.set()
    for thread in threads:
        thread.join()


def test_stdout_is_for_rows(monkeypatch):
    """What Ray prints, even at the end of the connection, does not come between the rows."""
    import ray

    monkeypatch.setattr(ray_connection, "connect", lambda address: True)
    monkeypatch.setattr(ray_connection, "found_cluster", lambda device, jobs: None)
    monkeypatch.setattr(ray, "shutdown", lambda: print("(raylet) a task will be retried"))
    out = io.TextIOWrapper(io.BytesIO(), write_through=True)
    with contextlib.redirect_stdout(out):
        with ray_cluster("auto"):
            print("(raylet) a node is lost")
            sys.stdout.buffer.write(b"row\n")
        print("done")
    assert out.buffer.getvalue() == b"row\ndone\n"


def test_nobody_answers(htl, phantom, dense):
    """Where no cluster is, that is said at once, in one line."""
    code, out, err = htl("score", phantom.rows, "--model", dense, "--ray", "127.0.0.1:1")
    assert (code, out, err.count("\n")) == (69, b"", 1)
    assert re.match(r"htl score: no Ray cluster can be reached at 127\.0\.0\.1:1 \(.*refused\); start one with ray start --head", err)


def squared(folder: Path) -> Callable[[int], tuple[int, str]]:
    """Work on numbers; not on negative ones."""

    def work(item: int) -> tuple[int, str]:
        if item < 0:
            raise DataError("no such item")
        return item * item, os.getcwd()

    return work


def test_results_come_in_order(cluster, tmp_path, monkeypatch):
    """Each item has its result, in the order of the items, made in the folder of the caller; errors are those of the work."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engine, "SINGLE", 2)  # the third block has two items, the fifth three
    with ray_cluster(cluster.address) as connected:
        results = connected.results(squared, (tmp_path,), range(9), actors=False)
        assert list(results) == [(item * item, str(tmp_path)) for item in range(9)]
        assert list(connected.results(squared, (tmp_path,), [], actors=False)) == []
        with pytest.raises(DataError, match="^no such item$"):
            list(connected.results(squared, (tmp_path,), [1, -1], actors=False))
        unseen = shards.ShardOrder(tmp_path / "00000.h5", [Candidate("a", str(tmp_path / "a.png"))], frozenset())
        with pytest.raises(MissingInput, match=r"^on the node \S+: \S+a\.png cannot be read; all nodes must see the same files"):
            list(connected.results(shards.ShardMaker, (None, {"plan": ""}), [unseen], actors=False))


def files_of(folder: Path) -> dict[str, bytes]:
    """The content of the files of a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_prepare_writes_the_same_store(cluster, htl, once_busy, tmp_path, monkeypatch):
    """Rows and shards are those of one process, byte for byte, though a worker is killed; nothing else is left in the folder."""
    monkeypatch.setattr(write, "SHARD_SAMPLES", 16)
    args = "prepare", "--phantom", 80, "--size", 32, "--no-history", "-o", tmp_path / "store"
    rows, store = made(*args, "-j", 1), files_of(tmp_path / "store")
    assert len(list((tmp_path / "store").glob("*.h5"))) == 5
    shutil.rmtree(tmp_path / "store")
    killed = []
    once_busy("Map(once)", 1, lambda workers: (os.kill(workers[0], signal.SIGKILL), killed.append(workers[0])))
    code, out, err = htl(*args, "--ray", cluster.address)
    assert (code, out) == (0, rows), err
    assert "htl prepare: Ray cluster of 2 nodes, 2 CPUs and 0 GPUs\n" in err
    assert killed
    assert files_of(tmp_path / "store") == store


def test_predict_says_the_same(cluster, htl, dense, study):
    """Rows for image files are those of one process, and so is what is drawn; unreadable images are left out as there."""
    (study / "images" / "b.png").write_bytes(b"no image")
    args = "predict", study / "images", "--model", dense, "--batch-size", 1, "--no-history", "--overlay", study / "drawn"
    rows, drawn = made(*args), files_of(study / "drawn")
    shutil.rmtree(study / "drawn")
    code, out, err = htl(*args, "--ray", cluster.address)
    assert (code, out) == (0, rows), err
    assert re.search(r"^htl predict: left out 1: .*b\.png\)$", err, re.M)
    assert sorted(drawn) == ["a.png", "c.png"] and files_of(study / "drawn") == drawn


def test_score_says_the_same_though_a_node_is_lost(cluster, htl, once_busy, phantom, dense, pruned):
    """Rows are those of one process, byte for byte, though one of two nodes is killed while both are at work."""
    args = "score", phantom.rows, "--model", dense, "--pruned", pruned, "--batch-size", 8, "--no-history"
    lost = []

    def lose_node(workers) -> None:
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
        lost.append(workers)

    once_busy("MapWorker(Map(Worker)).submit", 2, lose_node)
    code, out, err = htl(*args, "--ray", cluster.address)
    assert lost
    assert (code, out) == (0, made(*args)), err


def test_usage_is_refused(htl, cluster, phantom, dense):
    """Flags that do not go with a cluster, and a GPU that it does not have, are one line each."""
    score = "score", phantom.rows, "--model", dense
    for more, code, said in (
        (["--ray", "auto", "--nproc-per-node", 2], 2, "--ray spreads the work itself; leave out --nproc-per-node"),
        (
            ["--ray", "auto", "--device", "cuda:1"],
            2,
            "--ray takes --device auto, cpu, cuda, not 'cuda:1'; Ray chooses the GPUs",
        ),
        (
            ["--ray", "ray://a:1"],
            2,
            "--ray takes no address of Ray's client (ray://); call htl on a node, with --ray auto",
        ),
        (["--ray", cluster.address, "--device", "cuda"], 69, "the Ray cluster has no GPU; use --device cpu or auto"),
    ):
        assert htl(*score, *more) == (code, b"", f"htl score: {said}\n"), more
