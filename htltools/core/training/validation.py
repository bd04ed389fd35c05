"""How good a localizer is on validation images: overlap with the annotation, and loss."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from htltools.core.nets.localizer import Localizer
from htltools.core.nets.looks import Looks, look_each_way
from htltools.core.runtime import distributed
from htltools.core.runtime.batches import batches
from htltools.core.runtime.image_sources import ImageSource
from htltools.core.runtime.predict import predict_all
from htltools.core.runtime.prefetch import OnDevice, load_batches
from htltools.core.runtime.runtime import Runtime

AT_ONCE = 64  # images, or a larger batch of the training


def mean_iou(model: Localizer, images: ImageSource | OnDevice, targets: np.ndarray, runtime: Runtime) -> float:
    """Mean overlap of the model's predictions and the targets of its task, boxes [N, 4] or others, in [0, 1]."""
    validator = model.validator
    predictions = predict_all([validator], images, runtime.at(max(runtime.batch_size, AT_ONCE)))[0]
    return float(validator.overlap(predictions, targets).mean())


def mean_ious(
    model: Localizer, ways: Sequence[Looks], images: ImageSource | OnDevice, targets: np.ndarray, runtime: Runtime
) -> list[float]:
    """As `mean_iou`, of the model with each way to look, in one pass over the images."""
    predictions = predict_all([WaysToLook(model, ways)], images, runtime.at(max(runtime.batch_size, AT_ONCE)))[0]
    return [float(model.validator.overlap(predictions[:, way], targets).mean()) for way in range(len(ways))]


def losses_and_mean_iou(
    model: Localizer, images: ImageSource | OnDevice, targets: np.ndarray, runtime: Runtime
) -> tuple[np.ndarray, float]:
    """The loss of each image as it is, at the first look, float32 [N], and `mean_iou`, in one pass. Processes share the images."""
    validator = model.validator
    own = distributed.share(batches(images.shape[0], max(runtime.batch_size, AT_ONCE)))
    losses = torch.zeros(images.shape[0], device=runtime.device)
    predictions = torch.zeros(images.shape[0], *validator.prediction_shape, device=runtime.device)
    mode = model.training
    model.eval()
    try:
        for chosen, batch in zip(own, load_batches(images, own, runtime.device)):
            part = slice(chosen[0], chosen[-1] + 1)
            with torch.inference_mode(), runtime.autocast():
                boxes = torch.from_numpy(targets[chosen]).float().to(batch.device)
                losses[part], predictions[part] = model.loss_and_prediction(batch, boxes)
    finally:
        model.train(mode)
    reached = validator.overlap(distributed.summed(predictions).cpu().numpy(), targets).mean()
    return distributed.summed(losses).cpu().numpy(), float(reached)


class WaysToLook(nn.Module):
    """What the validator of a localizer gives for each of L ways to look, in one pass: images to [B, L, *prediction_shape]."""

    def __init__(self, model: Localizer, ways: Sequence[Looks]):
        super().__init__()
        self.model, self.ways, self.prediction_shape = model, ways, (len(ways), *model.validator.prediction_shape)

    def forward(self, images: Tensor) -> Tensor:
        model, validator = self.model, self.model.validator
        x = model.normalised(validator.model_input(images))
        predictions = look_each_way(model, self.ways, x, model.first_look(x), model.input_size(x))
        return torch.stack([validator.compared(each, images) for each in predictions], 1)
