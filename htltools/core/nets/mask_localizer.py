"""Localizers by pixel: the box is drawn around the pixels that the net takes for the lesion."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from htltools.core.geometry.masks import LIMIT, iou_and_dice, mask_boxes, mask_loss
from htltools.core.geometry.mirroring import Mirror, mirrored_masks
from htltools.core.geometry.warping import ellipses, pasted
from htltools.core.nets.localizer import Localizer, Validator

HALF = 127.5  # of what a stored mask holds; a pixel of the net is lesion where half of it or more is


class PixelLocalizer(Localizer):
    """Images as stored, uint8 [B, H, W, C], to the box float32 [B, 4] around what its net finds, pixel by pixel.

    `net`: normalised images [B, C, h, w] to logits [B, h, w]; `frame`: (h, w) of those. It learns from boxes alone: the ellipse that is
    inscribed in a box stands for the lesion. (In place of the filled box: mean IoU .837 against .820 of 300 HAM10000 images, one seed.)
    """

    def __init__(self, net: nn.Module, frame: tuple[int, int], mean: list[float], std: list[float]):
        super().__init__(net, mean, std)
        self.frame = tuple(frame)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.frame

    @property
    def prediction_layers(self) -> list[nn.Module]:
        return list(cast(list[nn.Module], self.net.heads))

    def decoded(self, raw: Tensor) -> Tensor:
        return mask_boxes(torch.sigmoid(raw.float()))

    def training_targets(self, boxes: Tensor, factor: Tensor, offset: Tensor, size: tuple[int, int]) -> Tensor:
        """The ellipses [B, *size], 0 or 1."""
        return ellipses(boxes, factor, offset, size)

    def training_loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        return mask_loss(raw, targets)


class MaskLocalizer(PixelLocalizer):
    """As `PixelLocalizer`, learned from lesion masks; it also predicts a mask in the frame of the stored image, `stored` (H, W)."""

    task = "mask"

    def __init__(self, net: nn.Module, frame: tuple[int, int], stored: tuple[int, int], mean: list[float], std: list[float]):
        super().__init__(net, frame, mean, std)
        self.stored = tuple(stored)

    def masks(self, x: Tensor) -> Tensor:
        """The probability of lesion at each pixel of normalised images [B, C, H, W], after all looks: float32 [B, H, W]."""
        return self.all_looks(x, self.first_look(x))

    def first_look(self, x: Tensor) -> Tensor:
        """As `masks`, of the first look alone."""
        return self.read((self.glance or self.net)(self.whole(x)), x.shape[2:])

    def read(self, raw: Tensor, size: Sequence[int]) -> Tensor:
        """The probability of lesion at each pixel, float32 [B, *size], that the net's output says."""
        masks = torch.sigmoid(raw.float())
        if masks.shape[1:] == tuple(size):
            return masks
        return interpolate(masks.unsqueeze(1), size=tuple(size), mode="bilinear", align_corners=False).squeeze(1)

    def boxes_of(self, predictions: Tensor) -> Tensor:
        return mask_boxes(predictions)

    def put_back(self, predictions: Tensor, factor: Tensor, offset: Tensor, before: Tensor) -> Tensor:
        return pasted(predictions, factor, offset, before)

    def boxes(self, x: Tensor) -> Tensor:
        return mask_boxes(self.masks(x))

    def outputs_of(self, predictions: Tensor) -> tuple[Tensor, ...]:
        return mask_boxes(predictions), predictions

    def mirrored_back(self, predictions: Tensor, mirror: Mirror) -> Tensor:
        return mirrored_masks(predictions, mirror)

    def doubts(self, own: Tensor, views: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """As `Localizer.doubts`, by the IoU of masks."""
        return (1 - torch.stack([iou_and_dice(own >= LIMIT, view >= LIMIT)[0] for view in views]).mean(0),)

    @property
    def validator(self) -> Validator:
        return MaskValidator(self)


class MasksOf(nn.Module):
    """The masks of a localizer in place of its boxes: uint8 [B, H, W, C] to float32 [B, H, W]."""

    def __init__(self, model: MaskLocalizer):
        super().__init__()
        self.model, self.prediction_shape = model, model.stored

    def forward(self, images: Tensor) -> Tensor:
        return self.model.masks(self.model.normalised(images))


class MasksBeside(nn.Module):
    """The masks of a localizer beside annotated ones: images with their lesion mask as one channel more, uint8 [B, H, W, C + 1], to
    float32 [B, 2, H, W].
    """

    def __init__(self, model: MaskLocalizer):
        super().__init__()
        self.model, self.prediction_shape = model, (2, *model.stored)

    def forward(self, images: Tensor) -> Tensor:
        masks = self.model.masks(self.model.normalised(images[..., :-1]))
        return torch.stack([masks, images[..., -1].to(masks.dtype)], 1)


class MaskValidator(nn.Module):
    """Compares a localizer with lesion masks on the device, so that no mask need be kept.

    Images with their lesion mask as one channel more, uint8 [B, H, W, C + 1], to float32 [B, 6]: the box, IoU and Dice of the masks.
    """

    prediction_shape: tuple[int, ...] = (6,)

    def __init__(self, model: MaskLocalizer):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.compared(self.model.masks(self.model.normalised(self.model_input(images))), images)

    def model_input(self, images: Tensor) -> Tensor:
        """As `Validator`: without the masks."""
        return images[..., :-1]

    def compared(self, predictions: Tensor, images: Tensor) -> Tensor:
        """As `Validator`, of masks [B, H, W]: [B, 6]."""
        agreement = iou_and_dice(predictions >= LIMIT, images[..., -1] > 0)
        return torch.cat([mask_boxes(predictions), torch.stack(agreement, 1)], 1)

    def first_look_targets(self, images: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
        """As `Validator`, by the annotated masks; the boxes do not count."""
        lesion = images[..., -1:].permute(0, 3, 1, 2).float()
        return (self.model.whole(lesion)[:, 0] >= HALF).float()

    def overlap(self, predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """IoU of predicted and annotated masks: [N] in [0, 1]. It is part of the predictions; the boxes `targets` do not count."""
        return predictions[:, 4]
