"""A localizer in the form that goes into an ONNX file."""

import copy

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
