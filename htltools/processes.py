"""Whether several processes share this job, from the environment variables that torchrun sets."""

import os


def several_processes() -> bool:
    """Whether torchrun, or a launcher that sets the same variables, started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE") or 1) > 1 and {"RANK", "MASTER_ADDR"} <= os.environ.keys()


def process_count() -> int:
    """The number of processes that share this job."""
    return int(os.environ["WORLD_SIZE"]) if several_processes() else 1


def first_process() -> bool:
    """Whether this process is the one that prints and writes."""
    return not several_processes() or int(os.environ["RANK"]) == 0
