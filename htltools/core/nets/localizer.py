"""Localizers: an image in, one box out."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from htltools.core.geometry.boxes import iou
from htltools.core.geometry.class_maps_to_boxes import class_spread, map_boxes, min_max_scaled

# ImageNet's colours: what pretrained backbones expect, and as good as any for the others.
NORMALISATION = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}

THRESHOLD = 0.225  # of a map, where no annotated image tells a better one
MIRRORS = [], [3], [2], [2, 3]  # axes along which images are mirrored


class Localizer(nn.Module):
    """Images as stored, uint8 [B, H, W, C], to boxes float32 [B, 4]: [x0, y0, x1, y1] as shares of width and height.

    Boxes lie in [0, 1] with x0 <= x1 and y0 <= y1. Other kinds of localizers derive from this one: `prediction_shape` is that of what
    one image is answered with, and `overlap` holds answers against the annotation, or against each other.
    """

    task = "box"
    prediction_shape: tuple[int, ...] = (4,)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of what the net tells of one image."""
        return self.prediction_shape

    def __init__(self, net: nn.Module, mean: list[float], std: list[float]):
        super().__init__()
        self.net = net
        gain = 1 / (255 * torch.tensor(std).view(1, -1, 1, 1))
        self.register_buffer("gain", gain, persistent=False)
        self.register_buffer("bias", -255 * torch.tensor(mean).view(1, -1, 1, 1) * gain, persistent=False)

    def normalised(self, images: Tensor) -> Tensor:
        """uint8 [B, H, W, C] to float32 [B, C, H, W] in channels-last memory, which costs no copy."""
        return torch.addcmul(self.bias, images.permute(0, 3, 1, 2).float(), self.gain)

    def boxes(self, x: Tensor) -> Tensor:
        """The boxes [B, 4] of normalised images [B, C, H, W]."""
        return boxes_of(self.net(x)).clamp(0, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.boxes(self.normalised(images))

    def onnx_outputs(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """What an ONNX file gives for normalised images [B, C, H, W], see formats.schema.ONNX."""
        return self.boxes(x)

    @property
    def validator(self) -> nn.Module:
        """What validation runs, with a `prediction_shape` and an `overlap` of its own: the localizer itself, unless it answers with more."""
        return self

    def overlap(self, predictions: np.ndarray, annotated: np.ndarray) -> np.ndarray:
        """IoU of answers [N, *prediction_shape] and annotation [N, ...]: [N] in [0, 1], 1 = the same."""
        return iou(predictions, annotated)


class MapLocalizer(Localizer):
    """A localizer that learned from class labels alone: its box is drawn around the peak of its map of class evidence.

    `threshold` is where the map counts as the object, in [0, 1]; it lies with the weights.
    """

    task = "class_map"

    def __init__(self, net: nn.Module, mean: list[float], std: list[float]):
        super().__init__(net, mean, std)
        self.register_buffer("threshold", torch.tensor(THRESHOLD))

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
    """The four numbers that a net answers with [B, 4], as boxes [B, 4] with their edges in order.

    The sigmoid is stretched to [-0.1, 1.1], so that a box which touches the border needs no infinite number; training
    sees it like this, and a localizer clips it.
    """
    edges = torch.sigmoid(raw.float()) * 1.2 - 0.1
    first, second = edges[:, :2], edges[:, 2:]
    return torch.cat([torch.minimum(first, second), torch.maximum(first, second)], 1)


def fraction_boxes(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] in pixels of images of (width, height) [N, 2], as shares of width and height."""
    return (boxes / np.tile(sizes, 2)).astype(np.float32)


def pixel_boxes(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] as shares of width and height, in pixels of images of (width, height) [N, 2]."""
    return boxes * np.tile(sizes, 2)
