"""The last layer of every localizer."""

import torch
from torch import Tensor, nn


class BoxHead(nn.Linear):
    """Features [B, F] to four raw numbers [B, 4], in float32 also under autocast.

    In bf16 they would have 8 bits, which rounds an edge to about a thousandth of the image's side, in training as well.
    """

    def __init__(self, features: int):
        super().__init__(features, 4)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_meta or not torch.is_autocast_enabled(x.device.type):
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())
