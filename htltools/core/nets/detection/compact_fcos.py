"""A small net that detects several objects, for CPUs."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops import FeaturePyramidNetwork

from htltools.core.nets.compact import WIDTHS, trunk

LEVELS = 3  # maps, each with anchors


def compact_fcos(size: Sequence[int], classes: int) -> FCOS:
    """A small FCOS for CPUs: the trunk of the compact net, a feature pyramid and a head of two convolutions."""
    height, width, channels = size
    stages, stride = trunk(height, width, channels)
    first = len(stages) - LEVELS
    backbone = Pyramid(stages, first, WIDTHS[-LEVELS:])
    strides = [stride * 2 ** (first + i - 1) for i in range(LEVELS)]
    generator = AnchorGenerator(tuple((each,) for each in strides), ((1.0,),) * LEVELS)
    return FCOS(backbone, classes, anchor_generator=generator, head=FCOSHead(Pyramid.out_channels, 1, classes, num_convs=2))


class Pyramid(nn.Module):
    """The last maps of a trunk through a feature pyramid: [B, 64, h, w] each, the largest first."""

    out_channels = 64

    def __init__(self, stages: list[nn.Module], first: int, widths: tuple[int, ...]):
        super().__init__()
        self.stages, self.first = nn.ModuleList(stages), first
        self.pyramid = FeaturePyramidNetwork(list(widths), self.out_channels)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = OrderedDict()
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i >= self.first:
                maps[str(i - self.first)] = x
        return self.pyramid(maps)
