"""Predictions of models: batches of stored images through one or several of them, in one pass over the data."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from htltools.core.runtime import distributed
from htltools.core.runtime.batches import batches
from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.prefetch import OnDevice, load_batches
from htltools.core.runtime.runtime import Runtime

# images; the maps of 256 at once fall out of its caches: 1.1 to 1.2 times the time at 96 and 128 px, 1.7 at 192 (two threads)
AT_ONCE_ON_CPU = 32


class Predicting(Protocol):
    """A torch module from images uint8 [B, H, W, C] to predictions float [B, *prediction_shape]."""

    prediction_shape: tuple[int, ...]
    training: bool

    def __call__(self, images: Tensor) -> Tensor: ...

    def train(self, mode: bool = True) -> nn.Module: ...


def predictions(models: Sequence[Predicting | nn.Module], batches: Iterable[Tensor], runtime: Runtime) -> Iterator[Tensor]:
    """Predictions of each model for each batch: uint8 [B, H, W, C] in, float32 [M, B, *prediction_shape] out, both on the device.

    Weights, buffers, modes and the random state stay as they are.
    """
    modes = [model.training for model in models]
    for model in models:
        model.train(False)
    try:
        for batch in batches:
            with torch.inference_mode(), runtime.autocast():
                pieces = batch.split(AT_ONCE_ON_CPU if runtime.device.type == "cpu" else len(batch))
                out = torch.cat([torch.stack([model(piece).float() for model in models]) for piece in pieces], 1)
            yield out
    finally:
        for model, mode in zip(models, modes):
            model.train(mode)


def predict_all(models: Sequence[Predicting], images: ImageSource | OnDevice, runtime: Runtime) -> np.ndarray:
    """Predictions of each model for all images: float32 [M, N, *prediction_shape]; the shape is the same for all models.

    Every batch is read and moved once, however many models there are. Each process of a job predicts its share of the batches,
    and all get the whole.
    """
    own = distributed.share(batches(images.shape[0], runtime.batch_size))
    out = torch.zeros(len(models), images.shape[0], *models[0].prediction_shape, device=runtime.device)
    for chosen, part in zip(own, predictions(models, load_batches(images, own, runtime.device), runtime)):
        out[:, chosen[0] : chosen[-1] + 1] = part
    return distributed.summed(out).cpu().numpy()
