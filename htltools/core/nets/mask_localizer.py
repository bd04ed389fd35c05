"""Localizers that predict a lesion mask, and the box around it."""

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from htltools.core.geometry.masks import LIMIT, iou_and_dice, mask_boxes
from htltools.core.nets.localizer import Localizer, Validator


class MaskLocalizer(Localizer):
    """Images as stored, uint8 [B, H, W, C], to the box float32 [B, 4] around the lesion mask that its net predicts.

    `net`: normalised images [B, C, H, W] to logits [B, H, W]; `frame`: (H, W).
    """

    task = "mask"

    def __init__(self, net: nn.Module, frame: tuple[int, int], mean: list[float], std: list[float]):
        super().__init__(net, mean, std)
        self.frame = tuple(frame)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.frame

    @property
    def prediction_layers(self) -> list[nn.Module]:
        return list(cast(list[nn.Module], self.net.heads))

    def masks(self, x: Tensor) -> Tensor:
        """The probability of lesion at each pixel of normalised images [B, C, H, W]: float32 [B, H, W]."""
        return torch.sigmoid(self.net(x).float())

    def boxes(self, x: Tensor) -> Tensor:
        return mask_boxes(self.masks(x))

    def onnx_outputs(self, x: Tensor) -> tuple[Tensor, ...]:
        masks = self.masks(x)
        return mask_boxes(masks), masks

    @property
    def validator(self) -> Validator:
        return MaskValidator(self)


class MasksOf(nn.Module):
    """The masks of a localizer in place of its boxes: uint8 [B, H, W, C] to float32 [B, H, W]."""

    def __init__(self, model: MaskLocalizer):
        super().__init__()
        self.model, self.prediction_shape = model, model.frame

    def forward(self, images: Tensor) -> Tensor:
        return self.model.masks(self.model.normalised(images))


class MaskValidator(nn.Module):
    """Compares a localizer with lesion masks on the device, so that no mask need be kept.

    Images with their lesion mask as one channel more, uint8 [B, H, W, C + 1], to float32 [B, 6]: the box, IoU and Dice of the masks.
    """

    prediction_shape: tuple[int, ...] = (6,)

    def __init__(self, model: MaskLocalizer):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        masks = self.model.masks(self.model.normalised(images[..., :-1]))
        agreement = iou_and_dice(masks >= LIMIT, images[..., -1] > 0)
        return torch.cat([mask_boxes(masks), torch.stack(agreement, 1)], 1)

    def overlap(self, predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """IoU of predicted and annotated masks: [N] in [0, 1]. It is part of the predictions; the boxes `targets` do not count."""
        return predictions[:, 4]
