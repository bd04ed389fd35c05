"""`train --tensorboard DIR`: the log of a training as scalars that TensorBoard draws."""

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from htltools.errors import UsageError

NAMES = {"loss": "loss/train", "val_loss": "loss/val", "val_iou": "iou/val", "lr": "lr", "seconds": "seconds/epoch"}


def require_tensorboard() -> None:
    """Raises: UsageError where the package is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError("--tensorboard needs the package tensorboard", "pip install 'htltools[tensorboard]'")


class Scalars:
    """Writes records of epochs as scalars; without a folder it writes nothing."""

    def __init__(self, writer: Any | None):
        self.writer = writer

    def add(self, record: Mapping[str, Any], seconds: float) -> None:
        """Write the record of an epoch."""
        for name, value in {**record, "seconds": seconds}.items():
            if self.writer and name in NAMES:
                self.writer.add_scalar(NAMES[name], value, record["epoch"])
        if self.writer:
            self.writer.flush()


@contextmanager
def scalars(folder: Path | None, run: str, epochs_done: int) -> Iterator[Scalars]:
    """Scalars in a folder of the run below `folder`; what an earlier, interrupted call wrote of later epochs is hidden."""
    if folder is None:
        yield Scalars(None)
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder / run), purge_step=epochs_done + 1 if epochs_done else None) as writer:
        yield Scalars(writer)
