"""Localizers: an image in, one box out."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from htltools.core.geometry.box_loss import box_iou, box_loss
from htltools.core.geometry.boxes import iou
from htltools.core.geometry.mirroring import Mirror, mirrored_boxes
from htltools.core.geometry.warping import unwarp_boxes, warp, warp_boxes
from htltools.core.nets.looks import Looks, look_again
from htltools.core.runtime.predict import Predicting

# ImageNet's colours: what pretrained backbones expect, and as good as any for the others.
NORMALISATION = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


class Validator(Predicting, Protocol):
    """What validation runs, a module.

    model_input: what the localizer sees of validation images uint8 [B, H, W, C]. compared: predictions for them, as the validator gives
    them. overlap: of these and targets, [N] in [0, 1], 1 = the same. first_look_targets: what the net should say of images in (h, w),
    given their boxes [B, 4].
    """

    def model_input(self, images: Tensor) -> Tensor: ...

    def compared(self, predictions: Tensor, images: Tensor) -> Tensor: ...

    def first_look_targets(self, images: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor: ...

    def overlap(self, predictions: np.ndarray, targets: np.ndarray) -> np.ndarray: ...


class Localizer(nn.Module):
    """Images as stored, uint8 [B, H, W, C], to boxes float32 [B, 4]: [x0, y0, x1, y1] as shares of width and height.

    Boxes lie in [0, 1] with x0 <= x1 and y0 <= y1. Localizers of other tasks derive from this one: `task` is the name of the task,
    `prediction_shape` that of the prediction for one image. `looks`: how it looks at an image. `input`: (h, w) of what its net takes,
    where that is less than the stored image; then the first look sees the whole image small, and the others a part of it in full.
    `glance`: the net of the first look, where that is another one.
    """

    task = "box"
    prediction_shape: tuple[int, ...] = (4,)
    gain: Tensor
    bias: Tensor
    looks = Looks()
    input: tuple[int, int] | None = None
    doubt_outputs: dict[str, tuple[int | None, ...]] = {"doubt": ()}  # of an ONNX file, with their shapes behind the batch axis

    def __init__(self, net: nn.Module, mean: list[float], std: list[float]):
        super().__init__()
        self.net = net
        self.glance: nn.Module | None = None
        with torch.device("cpu"):  # division on the device meta would import torch's compiler, which takes as long as torch itself
            gain = 1 / (255 * torch.tensor(std).view(1, -1, 1, 1))
            bias = -255 * torch.tensor(mean).view(1, -1, 1, 1) * gain
        self.register_buffer("gain", gain, persistent=False)
        self.register_buffer("bias", bias, persistent=False)

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

    def input_size(self, x: Tensor) -> tuple[int, int]:
        """The size (h, w) that the net takes of images [B, C, H, W]."""
        return self.input or (x.shape[2], x.shape[3])

    def whole(self, x: Tensor) -> Tensor:
        """Normalised images [B, C, H, W] in the size that the net takes."""
        size = self.input_size(x)
        if size == x.shape[2:]:
            return x
        plain = torch.ones(x.shape[0], 2, device=x.device)
        return warp(x.float(), plain, torch.zeros_like(plain), size).to(x.dtype)

    def decoded(self, raw: Tensor) -> Tensor:
        """The boxes [B, 4] that the net's output says, not cut at the border."""
        return boxes_of(raw)

    def training_targets(self, boxes: Tensor, factor: Tensor, offset: Tensor, size: tuple[int, int]) -> Tensor:
        """What the net should say of images of `size` that were changed by factor and offset [B, 2] (see `warp`), by their boxes [B, 4]."""
        return warp_boxes(boxes, factor, offset)

    def training_loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        """The loss of each output of the net, given `training_targets`: [B], 0 or more."""
        return box_loss(boxes_of(raw), targets)

    def train(self, mode: bool = True) -> "Localizer":
        """As torch's; batch norms whose weights are frozen keep their statistics also while the rest is trained."""
        super().train(mode)
        for module in self.net.modules():
            parameters = [*module.parameters(recurse=False)]
            if mode and isinstance(module, _BatchNorm) and parameters and not any(p.requires_grad for p in parameters):
                module.eval()
        return self

    def of_one_look(self, x: Tensor, net: nn.Module) -> Tensor:
        """What a net predicts for normalised images [B, C, h, w] in its size, of one look: boxes [B, 4]."""
        return self.read(net(x), x.shape[2:])

    def read(self, raw: Tensor, size: Sequence[int]) -> Tensor:
        """The predictions that the net's output says, for images of the size (H, W): boxes [B, 4], or what its task predicts."""
        return self.decoded(raw).clamp(0, 1)

    def first_look(self, x: Tensor) -> Tensor:
        """What the first look alone predicts for normalised images [B, C, H, W]: boxes [B, 4], or what its task predicts."""
        return self.of_one_look(self.whole(x), self.glance or self.net)

    def loss_and_prediction(self, images: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of the first look [B], 0 or more, and the validator's predictions after all looks [B, ...], in one pass, no glance.

        Of images uint8 [B, H, W, C] as the validator takes them, not augmented, and their boxes [B, 4].
        """
        x = self.normalised(self.validator.model_input(images))
        raw = self.net(self.whole(x))
        loss = self.training_loss(raw, self.validator.first_look_targets(images, boxes, self.input_size(x)))
        return loss, self.validator.compared(self.all_looks(x, self.read(raw, x.shape[2:])), images)

    def all_looks(self, x: Tensor, first: Tensor) -> Tensor:
        """What all looks predict, given the prediction of the first one, in the same form."""
        return look_again(self, x, first, self.input_size(x))

    def boxes(self, x: Tensor) -> Tensor:
        """The boxes [B, 4] of normalised images [B, C, H, W], after all looks."""
        return self.all_looks(x, self.first_look(x))

    def predict(self, windows: Tensor) -> Tensor:
        """As `Looking`, of boxes."""
        return self.of_one_look(windows, self.net)

    def boxes_of(self, predictions: Tensor) -> Tensor:
        """As `Looking`."""
        return predictions

    def put_back(self, predictions: Tensor, factor: Tensor, offset: Tensor, before: Tensor) -> Tensor:
        """As `Looking`."""
        return unwarp_boxes(predictions, factor, offset)

    def forward(self, images: Tensor) -> Tensor:
        return self.boxes(self.normalised(images))

    def onnx_outputs(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The outputs of an ONNX file for normalised images [B, C, H, W]."""
        outputs = self.outputs_of(self.all_looks(x, self.first_look(x)))
        return outputs if len(outputs) > 1 else outputs[0]

    def outputs_with_doubt(self, x: Tensor, mirrors: Sequence[Mirror]) -> tuple[Tensor, ...]:
        """The same, and `doubt_outputs`: by the mirror images; without any, by the first look alone."""
        images = torch.cat([x, *(x.flip(mirror.axes) for mirror in mirrors)])  # in one pass, which keeps all cores busy for one image too
        first = self.first_look(images)
        own, *mirrored = self.all_looks(images, first).unflatten(0, (1 + len(mirrors), -1)).unbind()
        views = [self.mirrored_back(each, mirror) for mirror, each in zip(mirrors, mirrored)]
        return (*self.outputs_of(own), *self.doubts(own, views or [first]))

    def outputs_of(self, predictions: Tensor) -> tuple[Tensor, ...]:
        """The outputs of an ONNX file for what all looks predict."""
        return (predictions,)

    def mirrored_back(self, predictions: Tensor, mirror: Mirror) -> Tensor:
        """Predictions for mirror images, as predictions for the images."""
        return mirrored_boxes(predictions, mirror)

    def doubts(self, own: Tensor, views: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """1 - mean IoU of predictions and those for other views of the images: [B] in [0, 1].

        As `hardness.doubt.view_disagreement`, by tensor operations, so that it exports.
        """
        return (1 - torch.stack([box_iou(own, view) for view in views]).mean(0),)

    @property
    def validator(self) -> Validator:
        """What validation runs: the localizer itself, unless its task predicts more than boxes."""
        return self

    def model_input(self, images: Tensor) -> Tensor:
        """As `Validator`: the images themselves."""
        return images

    def compared(self, predictions: Tensor, images: Tensor) -> Tensor:
        """As `Validator`: the predictions themselves."""
        return predictions

    def first_look_targets(self, images: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
        """As `Validator`, by the boxes."""
        plain = torch.ones(len(boxes), 2, device=boxes.device)
        return self.training_targets(boxes, plain, torch.zeros_like(plain), size)

    def overlap(self, predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """IoU of predictions [N, *prediction_shape] and targets [N, ...]: [N] in [0, 1], 1 = the same."""
        return iou(predictions, targets)


def boxes_of(raw: Tensor) -> Tensor:
    """The raw numbers of a net, [B, 4], as boxes [B, 4] with their edges in order.

    The sigmoid is stretched to [-0.1, 1.1], so that a box which touches the border needs no infinite number; training
    sees it like this, and a localizer clips it.
    """
    edges = torch.sigmoid(raw.float()) * 1.2 - 0.1
    first, second = edges[:, :2], edges[:, 2:]
    return torch.cat([torch.minimum(first, second), torch.maximum(first, second)], 1)
