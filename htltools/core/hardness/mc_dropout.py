"""Disagreement under dropout of features, a control without pruning."""

import numpy as np
import torch
from torch import Tensor

from htltools.core.hardness.scores import disagreement
from htltools.core.nets.box_head import BoxHead
from htltools.core.nets.localizer import Localizer, boxes_of

PASSES = 8
RATE = 0.2  # share of features that a pass drops


def dropout_disagreement(model: Localizer, images: Tensor, seed: int) -> np.ndarray:
    """Mean of 1 - IoU of the model's box and its boxes under dropout: float [N], in [0, 1]. Needs no annotation. Also measures smallness.

    `images`: uint8 [N, H, W, C], where the model is. Higher = harder: the prediction depends on features that may be missing. Each of
    eight passes drops a fifth of the features that go into the last layer, drawn from the seed and the same for all
    images, so that a score depends on no other image. The net before them runs once. The model stays as it is.

    Reference: Gal and Ghahramani, "Dropout as a Bayesian Approximation", ICML 2016 (arXiv 1506.02142). Deviations: the nets were not
    trained with dropout; only the last layer has it; disagreement of boxes takes the place of a variance.
    """
    head = next(module for module in model.modules() if isinstance(module, BoxHead))
    features: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0]))
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            whole = model(images)  # [N, 4]
            passes = [boxes_of(head(features[0] * kept)).clamp(0, 1) for kept in dropout_masks(head.in_features, seed).to(whole.device)]
    finally:
        hook.remove()
        model.train(training)
    return np.mean([disagreement(whole.cpu().numpy(), boxes.cpu().numpy()) for boxes in passes], 0)


def has_box_head(model: Localizer) -> bool:
    """Whether `dropout_disagreement` can be computed: the model ends in a `BoxHead`."""
    return any(isinstance(module, BoxHead) for module in model.modules())


def dropout_masks(features: int, seed: int) -> Tensor:
    """The factors of features in each pass: float32 [passes, F], 0 where one is dropped; the others make up for it."""
    random = torch.Generator().manual_seed(seed)
    return (torch.rand(PASSES, features, generator=random) >= RATE) / (1 - RATE)
