"""How images reach the device: read batch by batch on a CPU, from a GPU's own memory, or read ahead for a GPU."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from htltools.core.runtime.image_sources import ImageSource

MEMORY_SHARE = 0.5  # of a GPU's free memory that images may take
AHEAD = 2  # batches that are read before they are asked for
PIECE = 256 * 2**20  # bytes moved at once

Given = TypeVar("Given")
Made = TypeVar("Made")


class OnDevice:
    """All images of a source in the memory of a device."""

    def __init__(self, images: ImageSource, device: torch.device):
        self.shape = images.shape
        self.images = torch.empty(self.shape, dtype=torch.uint8, device=device)
        step = max(PIECE // max(self.images[:1].numel(), 1), 1)
        for start in range(0, len(self.images), step):
            chosen = np.arange(start, min(start + step, len(self.images)))
            self.images[start : start + step] = torch.from_numpy(images.batch(chosen))


def on_device_if_it_fits(images: ImageSource | OnDevice, device: torch.device) -> ImageSource | OnDevice:
    """The images in the memory of a GPU where they take at most half of what is free there; otherwise as they are."""
    if device.type != "cuda" or isinstance(images, OnDevice):
        return images
    free, _ = torch.cuda.mem_get_info(device)
    return OnDevice(images, device) if np.prod(images.shape, dtype=np.int64) <= MEMORY_SHARE * free else images


def load_batches(
    images: ImageSource | OnDevice, indices: Sequence[np.ndarray] | Sequence[Tensor], device: torch.device
) -> Iterator[Tensor]:
    """Batches of images on the device: uint8 [B, H, W, C]. `indices`: int64 [B] of each batch."""
    if isinstance(images, OnDevice):
        stored, sizes = images.images, [len(chosen) for chosen in indices]
        moved = torch.cat([torch.zeros(0, dtype=torch.int64), *map(torch.as_tensor, indices)]).to(device)  # once, not batch by batch
        return (stored[chosen] for chosen in moved.split(sizes))
    arrays = (np.asarray(chosen) for chosen in indices)
    if device.type == "cpu":
        return (torch.from_numpy(images.batch(chosen)) for chosen in arrays)
    return prefetched_to_gpu(images, arrays, device)


def prefetched_to_gpu(images: ImageSource, indices: Iterable[np.ndarray], device: torch.device) -> Iterator[Tensor]:
    """Batches read, pinned and copied to a GPU in a thread and a stream of their own, while the GPU works on earlier ones."""
    copies = torch.cuda.Stream(device)

    def moved(chosen: np.ndarray) -> Tensor:
        with torch.cuda.stream(copies):
            batch = torch.from_numpy(images.batch(chosen)).pin_memory().to(device, non_blocking=True)
        copies.synchronize()
        return batch

    for batch in prefetched(moved, indices):
        batch.record_stream(torch.cuda.current_stream(device))
        yield batch


def prefetched(make: Callable[[Given], Made], inputs: Iterable[Given], depth: int = AHEAD) -> Iterator[Made]:
    """Results of `make` for each input, in order, from a thread that runs up to `depth` inputs ahead."""
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(1) as reader:
        for each in inputs:
            waiting.append(reader.submit(make, each))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
