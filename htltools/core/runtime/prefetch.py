"""How images reach the device: from a map on a CPU, from its own memory or by a reader that runs ahead on a GPU."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

ROOM = 0.5  # of a GPU's free memory that images may take
AHEAD = 2  # batches that are read before they are asked for
PIECE = 256 * 2**20  # bytes moved at once


class ImageSource(Protocol):
    """Stored images: `shape` (N, H, W, C), and `batch` of them by index (int64 [B]), uint8 [B, H, W, C]."""

    shape: tuple[int, ...]

    def batch(self, chosen: np.ndarray) -> np.ndarray: ...


class OnDevice:
    """All images of a source in the memory of a device."""

    def __init__(self, images: ImageSource, device: torch.device):
        self.shape = images.shape
        self.images = torch.empty(self.shape, dtype=torch.uint8, device=device)
        step = max(PIECE // max(self.images[:1].numel(), 1), 1)
        for start in range(0, len(self.images), step):
            chosen = np.arange(start, min(start + step, len(self.images)))
            self.images[start : start + step] = torch.from_numpy(images.batch(chosen))

    def taken(self, chosen: Tensor) -> Tensor:
        """Images by index (int64 [B], on the device): uint8 [B, H, W, C]."""
        return self.images[chosen]


def nearest(images: ImageSource, device: torch.device) -> ImageSource | OnDevice:
    """The images, moved into the memory of a GPU where they fit into half of what is free there; otherwise as they are."""
    if device.type != "cuda":
        return images
    free, _ = torch.cuda.mem_get_info(device)
    return OnDevice(images, device) if np.prod(images.shape, dtype=np.int64) <= ROOM * free else images


def fed(images: ImageSource | OnDevice, turns: Sequence[np.ndarray] | Tensor, device: torch.device) -> Iterator[Tensor]:
    """The images of each turn on the device: uint8 [B, H, W, C]. `turns`: int64 [B] each, in a sequence or one tensor [S, B]."""
    if isinstance(images, OnDevice):
        turns = turns.to(device) if isinstance(turns, Tensor) else turns
        return (images.taken(torch.as_tensor(chosen, device=device)) for chosen in turns)
    if device.type == "cpu":
        return (torch.from_numpy(images.batch(np.asarray(chosen))) for chosen in turns)
    return moved_ahead(images, (np.asarray(chosen) for chosen in turns), device)


def moved_ahead(images: ImageSource, turns: Iterable[np.ndarray], device: torch.device) -> Iterator[Tensor]:
    """Batches read, pinned and copied to a GPU in a thread and a stream of their own, while the GPU is at work on earlier ones."""
    copies = torch.cuda.Stream(device)

    def moved(chosen: np.ndarray) -> Tensor:
        with torch.cuda.stream(copies):
            batch = torch.from_numpy(images.batch(chosen)).pin_memory().to(device, non_blocking=True)
        copies.synchronize()
        return batch

    for batch in ahead(moved, turns):
        batch.record_stream(torch.cuda.current_stream(device))
        yield batch


def ahead(made: Callable[[Any], Any], turns: Iterable[Any], depth: int = AHEAD) -> Iterator[Any]:
    """What is made of each turn, in order, by a thread that runs up to `depth` turns ahead."""
    waiting: deque = deque()
    with ThreadPoolExecutor(1) as reader:
        for turn in turns:
            waiting.append(reader.submit(made, turn))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
