"""What a training may take: seconds of the processor, its own and its children's, so that neighbours of a busy machine change little."""

import os
import time


def cpu_seconds() -> float:
    """Seconds of the processor of this process and of its children that ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


class Budget:
    """So many seconds of the processor from now on. `reserve` of them are kept for what comes after the last step."""

    def __init__(self, seconds: float):
        self.seconds, self.reserve = seconds, 0.0
        self.start = cpu_seconds()

    @property
    def spent(self) -> float:
        """Seconds so far."""
        return cpu_seconds() - self.start

    @property
    def share(self) -> float:
        """How much of the training is over, 0 to 1: schedules follow it, so that they end with the budget."""
        return min(self.spent / max(self.seconds - self.reserve, 1e-9), 1.0)


def fake_clock() -> object:
    """A module `time` whose time() is that of the processor, for a tool that bounds itself by the clock."""

    class CpuTime:
        """`time`, but for time()."""

        time = staticmethod(cpu_seconds)

        def __getattr__(self, name: str) -> object:
            return getattr(time, name)

    return CpuTime()
