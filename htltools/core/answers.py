"""What localizers answer: batches of stored pictures through one or several of them, in one pass over the data."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn


def batches(count: int, size: int) -> list[np.ndarray]:
    """Indices 0 .. count-1 in order, in pieces of at most `size`."""
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]


def answers(models: Sequence[nn.Module], pictures: Iterable[np.ndarray], *, device: torch.device, dtype: torch.dtype) -> Iterator[Tensor]:
    """Boxes of each model for each batch: uint8 [B, H, W, C] in, float32 [M, B, 4] on the CPU out, shares of the sides.

    Every batch is read and moved once, however many models there are. Weights, buffers and random state stay as they are.
    """
    modes = [model.training for model in models]
    for model in models:
        model.eval()
    try:
        for batch in pictures:
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
                on_device = torch.from_numpy(batch).to(device, non_blocking=True)
                out = torch.stack([model(on_device).float() for model in models]).cpu()
            yield out
    finally:
        for model, mode in zip(models, modes):
            model.train(mode)


def all_answers(models: Sequence[nn.Module], pictures, batch_size: int, *, device: torch.device, dtype: torch.dtype) -> np.ndarray:
    """Boxes of each model for all pictures (an object with `shape` and `batch(indices)`): float32 [M, N, 4]."""
    pieces = (pictures.batch(chosen) for chosen in batches(pictures.shape[0], batch_size))
    return np.concatenate([out.numpy() for out in answers(models, pieces, device=device, dtype=dtype)], 1)
