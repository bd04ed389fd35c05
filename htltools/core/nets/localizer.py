"""Localizers: an image in, one box out."""

from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from htltools.core.geometry.boxes import iou
from htltools.core.geometry.class_maps_to_boxes import class_spread, map_boxes, min_max_scaled
from htltools.core.runtime.predict import Predicting

# ImageNet's colours: what pretrained backbones expect, and as good as any for the others.
NORMALISATION = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}

THRESHOLD = 0.225  # of a map, where no annotated image calibrates it
MIRRORS: list[list[int]] = [[], [3], [2], [2, 3]]  # axes along which images are mirrored


class Validator(Predicting, Protocol):
    """What validation runs: predictions, and their `overlap` with targets, [N] in [0, 1], 1 = the same."""

    def overlap(self, predictions: np.ndarray, targets: np.ndarray) -> np.ndarray: ...


class Localizer(nn.Module):
    """Images as stored, uint8 [B, H, W, C], to boxes float32 [B, 4]: [x0, y0, x1, y1] as shares of width and height.

    Boxes lie in [0, 1] with x0 <= x1 and y0 <= y1. Localizers of other tasks derive from this one: `task` is the name of the task,
    `prediction_shape` that of the prediction for one image.
    """

    task = "box"
    prediction_shape: tuple[int, ...] = (4,)
    gain: Tensor
    bias: Tensor

    def __init__(self, net: nn.Module, mean: list[float], std: list[float]):
        super().__init__()
        self.net = net
        gain = 1 / (255 * torch.tensor(std).view(1, -1, 1, 1))
        self.register_buffer("gain", gain, persistent=False)
        self.register_buffer("bias", -255 * torch.tensor(mean).view(1, -1, 1, 1) * gain, persistent=False)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of what the net gives for one image."""
        return self.prediction_shape

    @property
    def prediction_layers(self) -> list[nn.Module]:
        """The layers whose outputs are the prediction, which pruning of channels leaves whole: the last linear one."""
        linear: list[nn.Module] = [module for module in self.net.modules() if isinstance(module, nn.Linear)]
        return linear[-1:]

    def normalised(self, images: Tensor) -> Tensor:
        """uint8 [B, H, W, C] to float32 [B, C, H, W] in channels-last memory, which costs no copy."""
        return torch.addcmul(self.bias, images.permute(0, 3, 1, 2).float(), self.gain)

    def boxes(self, x: Tensor) -> Tensor:
        """The boxes [B, 4] of normalised images [B, C, H, W]."""
        return boxes_of(self.net(x)).clamp(0, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.boxes(self.normalised(images))

    def onnx_outputs(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The outputs of an ONNX file for normalised images [B, C, H, W]."""
        return self.boxes(x)

    @property
    def validator(self) -> Validator:
        """What validation runs: the localizer itself, unless its task predicts more than boxes."""
        return self

    def overlap(self, predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """IoU of predictions [N, *prediction_shape] and targets [N, ...]: [N] in [0, 1], 1 = the same."""
        return iou(predictions, targets)


class MapLocalizer(Localizer):
    """A localizer that learned from class labels alone: its box is drawn around the peak of its map of class evidence.

    `threshold` is where the map counts as the object, in [0, 1]; it is stored with the weights.
    """

    task = "class_map"
    threshold: Tensor

    def __init__(self, net: nn.Module, mean: list[float], std: list[float]):
        super().__init__(net, mean, std)
        self.register_buffer("threshold", torch.tensor(THRESHOLD))

    @property
    def prediction_layers(self) -> list[nn.Module]:
        return list(cast(nn.ModuleList, self.net.heads))

    def map(self, x: Tensor) -> Tensor:
        """The class evidence at each place of normalised images [B, C, H, W] and their mirror images, in [0, 1]: [B, h, w].

        Twice as fine as the net's map, by cubic interpolation, which gained .007 of validation IoU on HAM10000 in each of two nets;
        linear interpolation gained nothing.
        """
        views = [class_spread(self.net(x.flip(axes))[0]).flip([axis - 1 for axis in axes]) for axes in MIRRORS]
        mean = torch.stack(views).mean(0).unsqueeze(1)
        return min_max_scaled(interpolate(mean, scale_factor=2, mode="bicubic", align_corners=False).squeeze(1))

    def boxes(self, x: Tensor) -> Tensor:
        return map_boxes(self.map(x), self.threshold)


def boxes_of(raw: Tensor) -> Tensor:
    """The raw numbers of a net, [B, 4], as boxes [B, 4] with their edges in order.

    The sigmoid is stretched to [-0.1, 1.1], so that a box which touches the border needs no infinite number; training
    sees it like this, and a localizer clips it.
    """
    edges = torch.sigmoid(raw.float()) * 1.2 - 0.1
    first, second = edges[:, :2], edges[:, 2:]
    return torch.cat([torch.minimum(first, second), torch.maximum(first, second)], 1)


def fraction_boxes(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] in pixels of images of (width, height) [N, 2], as shares of width and height: float64."""
    return boxes / np.tile(sizes, 2)


def pixel_boxes(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] as shares of width and height, in pixels of images of (width, height) [N, 2]."""
    return boxes * np.tile(sizes, 2)
