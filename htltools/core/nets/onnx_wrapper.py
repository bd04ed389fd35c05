"""A localizer in the form that goes into an ONNX file."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from htltools.core.geometry.mirroring import Mirror
from htltools.core.nets.localizer import Localizer

EPSILON = 1e-12  # of variances of thousands: nothing; torch before 2.15 does not take 0


class OnnxWrapper(nn.Module):
    """A copy of a localizer with its net in `dtype`: uint8 [B, H, W, C] to its `onnx_outputs`, float32.

    frame: (H, W) that images of any size are squashed to first, as `prepare` squashes them but for the rounding of JPEG decoders that
    decode small; None = images have that size. doubt: whether its `doubt_outputs` follow, by `mirrors`, or without any by its first look.

    Normalisation is a batch normalisation, in float32. As a product and a sum it takes two thirds of the time of an 8-bit
    net: onnxruntime computes those on images whose innermost axis is the three colours.
    """

    mean: Tensor
    variance: Tensor

    def __init__(
        self,
        localizer: Localizer,
        dtype: torch.dtype = torch.float32,
        frame: tuple[int, int] | None = None,
        doubt: bool = False,
        mirrors: Sequence[Mirror] = (),
    ):
        super().__init__()
        self.localizer = copy.deepcopy(localizer).to(dtype)
        self.dtype, self.frame, self.doubt, self.mirrors = dtype, frame, doubt, list(mirrors)
        gain, bias = localizer.gain.flatten(), localizer.bias.flatten()
        self.register_buffer("mean", -bias / gain)  # [C], of numbers up to 255
        self.register_buffer("variance", gain**-2)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = images.permute(0, 3, 1, 2).float()
        if self.frame:
            x = interpolate(x, size=self.frame, mode="bilinear", antialias=True, align_corners=False).round().clamp(0, 255)
        x = nn.functional.batch_norm(x, self.mean, self.variance, eps=EPSILON).to(self.dtype)
        return self.localizer.outputs_with_doubt(x, self.mirrors) if self.doubt else self.localizer.onnx_outputs(x)
