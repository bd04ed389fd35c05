"""What localizers answer: batches of stored images through one or several of them, in one pass over the data."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from htltools.core.nets.localizer import Localizer
from htltools.core.runtime import distributed
from htltools.core.runtime.prefetch import ImageSource, OnDevice, fed


def batches(count: int, size: int) -> list[np.ndarray]:
    """Indices 0 .. count-1 in order, in pieces of at most `size`."""
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]


def predictions(models: Sequence[nn.Module], images: Iterable[Tensor], *, device: torch.device, dtype: torch.dtype) -> Iterator[Tensor]:
    """Answers of each model for each batch: uint8 [B, H, W, C] on the device in, float32 [M, B, *answer] there out.

    Weights, buffers and random state stay as they are.
    """
    modes = [model.training for model in models]
    for model in models:
        model.eval()
    try:
        for batch in images:
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
                out = torch.stack([model(batch).float() for model in models])
            yield out
    finally:
        for model, mode in zip(models, modes):
            model.train(mode)


def predict_all(
    models: Sequence[Localizer], images: ImageSource | OnDevice, batch_size: int, *, device: torch.device, dtype: torch.dtype
) -> np.ndarray:
    """Answers of each model for all images: float32 [M, N, *answer], of localizers with one box float32 [M, N, 4].

    Every batch is read and moved once, however many models there are. Where processes share the job, each answers for some of
    the batches. All models answer in one form.
    """
    turns = distributed.share(batches(images.shape[0], batch_size))
    out = torch.zeros(len(models), images.shape[0], *models[0].prediction_shape, device=device)
    for chosen, part in zip(turns, predictions(models, fed(images, turns, device), device=device, dtype=dtype)):
        out[:, chosen[0] : chosen[-1] + 1] = part
    return distributed.summed(out).cpu().numpy()
