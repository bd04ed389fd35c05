"""The compact localizer: a small residual net that keeps a spatial map before its box head."""

import torch
from torch import Tensor, nn

from htltools.core.nets.box_head import BoxHead


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution only where the shape changes; `stride` 2 halves the map."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        changes = before != after or stride != 1
        self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


WIDTHS = 24, 48, 96, 128


def trunk(height: int, width: int, channels: int, widths: tuple[int, ...] = WIDTHS) -> tuple[list[nn.Module], int]:
    """The stem and the stages of the net, images [B, C, H, W] to ever smaller maps, and the stride of the stem.

    The stem halves small images and quarters those from 96 pixels on, which costs less and loses nothing measurable.
    """
    small = min(height, width) < 96
    kernel, stride = (3, 2) if small else (7, 4)
    stem = nn.Sequential(nn.Conv2d(channels, widths[0], kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU())
    stages = [Residual(before, after, 1 if i == 0 else 2) for i, (before, after) in enumerate(zip((widths[0], *widths), widths))]
    return [stem, *stages], stride


def compact(height: int, width: int, channels: int, widths: tuple[int, ...] = WIDTHS) -> nn.Sequential:
    """Images [B, C, H, W] to raw box numbers [B, 4].

    The last map of the trunk is flattened rather than averaged, which keeps places apart.
    """
    stages, stride = trunk(height, width, channels, widths)
    side = [-(-n // (stride * 2 ** (len(widths) - 1))) for n in (height, width)]
    reduce = nn.Sequential(nn.Conv2d(widths[-1], 32, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten())
    head = nn.Sequential(nn.Linear(32 * side[0] * side[1], 128), nn.ReLU(), BoxHead(128))
    return nn.Sequential(*stages, reduce, head)
