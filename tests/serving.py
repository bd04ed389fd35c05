"""htl in lines of bash without its start-up: each call is a fork of one process that has imported torch.

`python serving.py SOCKET` serves; `python serving.py SOCKET ARGUMENTS...` is htl, with the caller's folder, environment and streams.
Where the environment has MOST_BYTES, files may be no larger, as on a full disk; where it has WORKERS, that is the Python by which htl
starts processes of its own.
"""

import contextlib
import json
import os
import socket
import sys


def serve(path: str) -> None:
    """Fork an htl for every call, until stdin ends."""
    import resource
    import select
    import signal

    import torch.distributed.launcher.api  # noqa: F401

    import htltools.commands.export.parity
    import htltools.commands.score.scorer
    import htltools.commands.train.fit  # noqa: F401
    from htltools import cli
    from htltools.commands.export import latency

    latency.TURNS = 1, 2  # nobody reads the times that `export --bench` takes here

    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children that have ended are forgotten
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([listening, sys.stdin], [], [])
        if sys.stdin in readable:
            return
        call, _ = listening.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            said, streams, _, _ = socket.recv_fds(call, 1 << 20, 3)
            folder, environment, arguments = json.loads(said)
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            if most := environment.get("MOST_BYTES"):
                resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), int(most)))
            sys.executable = environment.get("WORKERS", sys.executable)
            sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            sys.argv = ["htl", *arguments]
            code = cli.main()
            sys.stderr.flush()
            with contextlib.suppress(BrokenPipeError):  # whoever waited was killed
                call.sendall(bytes([code]))
            os._exit(code)
        call.close()


def call(path: str, arguments: list[str]) -> int:
    """The exit code of htl with these arguments; 1 where it ended without one."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        socket.send_fds(server, [json.dumps([os.getcwd(), dict(os.environ), arguments]).encode()], [0, 1, 2])
        for stream in 0, 1, 2:  # the fork has them: a reader shall see the end when that closes them
            os.close(stream)
        return (server.recv(1) or b"\1")[0]


if __name__ == "__main__":
    if sys.argv[2:]:
        os._exit(call(sys.argv[1], sys.argv[2:]))
    serve(sys.argv[1])
