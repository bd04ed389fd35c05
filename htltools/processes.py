"""Whether several processes share this job: what torchrun says in the environment."""

import os


def several_processes() -> bool:
    """Whether torchrun, or what sets the same variables, started this process beside others."""
    return int(os.environ.get("WORLD_SIZE") or 1) > 1 and {"RANK", "MASTER_ADDR"} <= os.environ.keys()


def first_process() -> bool:
    """Whether this process is the one that talks and writes."""
    return not several_processes() or int(os.environ["RANK"]) == 0
