"""A localizer in the form that goes into an ONNX file, and as a function of arrays to compare that file with."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from htltools.core.nets.localizer import Localizer

EPSILON = 1e-12  # of variances of thousands: nothing; torch before 2.15 does not take 0


class OnnxWrapper(nn.Module):
    """A copy of a localizer with its net in `dtype`: uint8 [B, H, W, C] to its `onnx_outputs`, float32.

    Normalisation is a batch normalisation, in float32. As a product and a sum it takes two thirds of the time of an 8-bit
    net: onnxruntime computes those on images whose innermost axis is the three colours.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, localizer: Localizer, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.localizer = copy.deepcopy(localizer).to(dtype)
        self.dtype = dtype
        gain, bias = localizer.gain.flatten(), localizer.bias.flatten()
        self.register_buffer("mean", -bias / gain)  # [C], of numbers up to 255
        self.register_buffer("variance", gain**-2)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = nn.functional.batch_norm(images.permute(0, 3, 1, 2).float(), self.mean, self.variance, eps=EPSILON)
        return self.localizer.onnx_outputs(x.to(self.dtype))


def eager(localizer: nn.Module, device: torch.device) -> Callable[[np.ndarray], np.ndarray]:
    """A copy of a localizer on a device, as a function from uint8 [B, H, W, C] to its predictions float32 [B, ...]."""
    placed = copy.deepcopy(localizer).to(device).to(memory_format=torch.channels_last)

    def predict(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return placed(torch.from_numpy(batch).to(device)).cpu().numpy()

    return predict
