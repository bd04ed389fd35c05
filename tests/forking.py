"""htl in processes of its own, forked from one that has imported it: `python forking.py SAMPLES_PER_SHARD`.

Reads lines of JSON, [folder, arguments]; runs htl in the folder with stdout and stderr in files there; prints its process
id, and its exit code once it has ended.
"""

import json
import os
import signal
import sys


def main() -> None:
    """Serve until stdin ends."""
    import htltools.commands.train.fit  # noqa: F401  imports torch
    from htltools import cli
    from htltools.commands.prepare import write
    from htltools.commands.train import command as train  # noqa: F401

    write.SHARD_SAMPLES = int(sys.argv[1])
    while line := sys.stdin.readline():
        folder, arguments = json.loads(line)
        if (child := os.fork()) == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a script would ignore it
            os.chdir(folder)
            for stream, name in ((0, os.devnull), (1, "stdout"), (2, "stderr")):
                os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), stream)
            sys.argv = ["htl", *arguments]
            raise SystemExit(cli.main())
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
