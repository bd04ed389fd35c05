"""Where and how models are run, as flags say it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """The device and the arithmetic, how many samples at a time, and what else a model needs to be run."""

    device: str
    precision: str
    batch_size: int
    coco: Path | None = None  # the data set whose images COCO results number
    trust: str | None = None  # names of nets that may run
    seed: int = 0
