"""The compact net for masks: the trunk of the compact localizer, and a way back up to the size of the image."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle

from htltools.core.nets.compact import WIDTHS, Residual, trunk
from htltools.errors import UsageError

SMALLEST = 8  # pixels of a side


class EncoderDecoder(nn.Module):
    """Normalised images [B, C, H, W] to logits of a lesion mask [B, H, W]; 0.86 million weights.

    On the way back each map is enlarged and joined with the one of that size from the way down. The last step, from the map of the
    first stage to the pixels, is a convolution with one output for each pixel of a place: as fine as the image, and cheap.

    Reference: Ronneberger et al., "U-Net", MICCAI 2015 (arXiv 1505.04597); Shi et al., "Real-Time Single Image and Video
    Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network", CVPR 2016 (arXiv 1609.05158), for the last step.

    Raises: UsageError for images of fewer than 8 pixels a side.
    """

    def __init__(self, height: int, width: int, channels: int, widths: tuple[int, ...] = WIDTHS):
        super().__init__()
        if min(height, width) < SMALLEST:
            raise UsageError(f"masks of {width}x{height} images cannot be learned", f"use images of {SMALLEST}x{SMALLEST} pixels or more")
        (self.stem, *stages), self.stride = trunk(height, width, channels, widths)
        self.stages = nn.ModuleList(stages)
        pairs = list(zip(widths, widths[1:]))[::-1]
        self.joins = nn.ModuleList(Residual(below + beside, beside, 1) for beside, below in pairs)
        self.head = nn.Conv2d(widths[0], self.stride**2, 3, 1, 1)

    @property
    def heads(self) -> list[nn.Module]:
        """The layers whose outputs are the prediction."""
        return [self.head]

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        x, seen = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            seen.append(x)
        for join, beside in zip(self.joins, seen[-2::-1]):
            x = join(torch.cat([interpolate(x, size=beside.shape[2:], mode="nearest"), beside], 1))
        return pixel_shuffle(self.head(x), self.stride)[:, 0, :height, :width]


class Segmentation(nn.Module):
    """A segmentation net of torchvision with one class: normalised images [B, 3, H, W] to logits [B, H, W]."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    @property
    def heads(self) -> list[nn.Module]:
        """The layers whose outputs are the prediction, or are added up to it."""
        return [module for module in self.net.modules() if isinstance(module, nn.Conv2d) and module.out_channels == 1]

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)["out"][:, 0]
