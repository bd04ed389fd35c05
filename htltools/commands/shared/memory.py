"""How much memory there is."""

import math
import os
from pathlib import Path


def physical_memory() -> float:
    """Bytes of memory that this machine has, or that its control group may use."""
    try:
        granted = float(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):  # no control group, or "max"
        granted = math.inf
    return min(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), granted) if hasattr(os, "sysconf") else granted
