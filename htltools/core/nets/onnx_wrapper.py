"""A localizer in the form that it is shipped in: the same answers, from a graph that other runtimes run fast."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from htltools.core.nets.localizer import Localizer

EPSILON = 1e-12  # of variances of thousands: nothing; torch before 2.15 does not take 0


class Deployed(nn.Module):
    """A localizer, copied, with its net in `dtype`; images are as before, uint8 [B, H, W, C], and answers
    what `Localizer.shipped` gives, float32.

    Normalisation is a batch normalisation, in float32. As a product and a sum it takes two thirds of the time of an 8-bit
    net: onnxruntime computes those on images whose innermost axis is the three colours.
    """

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
    """A localizer on a device, in channels-last memory, as a function from uint8 [B, H, W, C] to float32 [B, 4]."""
    placed = copy.deepcopy(localizer).to(device, memory_format=torch.channels_last)

    def answer(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return placed(torch.from_numpy(batch).to(device)).cpu().numpy()

    return answer
