"""Lesion masks as tensors [B, H, W], for nets: IoU and Dice of two, their loss, and the box around one. `mask_comparison` has arrays.

A predicted mask is a probability in [0, 1] at each pixel; a pixel counts as lesion from LIMIT on.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits, interpolate, max_pool2d, pad

from htltools.core.geometry.class_maps_to_boxes import grow_region, threshold_crossings
from htltools.core.geometry.mask_comparison import AROUND, COARSE, LIMIT


def iou_and_dice(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and Dice of masks bool [..., H, W] that broadcast: [...] twice, in [0, 1]; 1 = the same, also where both are empty.

    Reference: Dice, "Measures of the amount of ecologic association between species", Ecology 26, 1945.

    >>> iou_and_dice(torch.tensor([[True, True, False]]), torch.tensor([[False, True, True]]))
    (tensor(0.3333), tensor(0.5000))
    """
    both = (one & other).sum((-2, -1)).float()
    sizes = one.sum((-2, -1)).float() + other.sum((-2, -1)).float()
    empty = sizes == 0
    dice = torch.where(empty, 1.0, 2 * both / sizes.clamp_min(1))
    return torch.where(empty, 1.0, both / (sizes - both).clamp_min(1)), dice


def mask_loss(logits: Tensor, annotated: Tensor) -> Tensor:
    """Loss of each mask: logits [B, H, W] against lesion masks in [0, 1] [B, H, W] give [B], 0 or more; higher = worse.

    Cross entropy, mean over the pixels, plus 1 less soft Dice, in [0, 1], plus the same of the two projections, the highest probability
    in each column and in each row, in [0, 2]. Cross entropy alone hardly notices that a small lesion is missed; the projections are what
    the box around the mask follows from (validation IoU of boxes on HAM10000, 1,000 steps: .8677 with them, .8660 without; one seed).

    Reference: Milletari et al., "V-Net", 3DV 2016 (arXiv 1606.04797), Dice; Tian et al., "BoxInst", CVPR 2021 (arXiv 2012.02310),
    projections. Deviations: the Dice of V-Net has squares in its denominator; here, but for the projections, the plain sums stand there,
    with 1 added above and below, and the cross entropy beside it.
    """
    logits, annotated = logits.float(), annotated.float()
    pixels = binary_cross_entropy_with_logits(logits, annotated, reduction="none").mean((1, 2))
    probability = torch.sigmoid(logits)
    dice = (2 * (probability * annotated).sum((1, 2)) + 1) / ((probability + annotated).sum((1, 2)) + 1)
    return pixels + 1 - dice + sum(projection_loss(probability.amax(axis), annotated.amax(axis)) for axis in (1, 2))


def projection_loss(predicted: Tensor, annotated: Tensor) -> Tensor:
    """1 less Dice of projections [B, n] in [0, 1], with squares in its denominator: [B], in [0, 1]."""
    return 1 - (2 * (predicted * annotated).sum(1) + 1) / ((predicted.square() + annotated.square()).sum(1) + 1)


def mask_boxes(masks: Tensor) -> Tensor:
    """The box around one region of each mask: probabilities [B, H, W] give float32 [B, 4], shares of the sides.

    The region is the one around the place of the highest mean probability near it; it grows on a map of at most 32 places a side, so
    that regions nearer to each other than such a place count as one. Edges lie between pixels, where the probability crosses LIMIT.
    Where it is below LIMIT everywhere, half of its highest value is the limit. Tensor operations only.

    >>> mask_boxes(torch.tensor([[[0.0, 0.0, 0.5, 1.0, 0.0]]]))
    tensor([[0.5000, 0.0000, 0.8000, 1.0000]])
    """
    masks = masks.float()
    height, width = masks.shape[1:]
    step = -(-max(height, width) // COARSE)
    whole = pad(masks, (0, -width % step, 0, -height % step)).unsqueeze(1)
    highest, mean = max_pool2d(whole, step), avg_pool2d(whole, step)  # [B, 1, h, w]
    top = highest.amax((1, 2, 3))
    limit = torch.where(top < LIMIT, top / 2, LIMIT)  # [B]
    allowed = highest >= limit.view(-1, 1, 1, 1)
    near = avg_pool2d(mean, AROUND, 1, AROUND // 2) * allowed
    region = grow_region(near >= near.amax((2, 3), keepdim=True), allowed)
    around = max_pool2d(region, 3, 1, 1)  # with the nearest places outside, where the probability falls below LIMIT
    inside = masks * interpolate(around, scale_factor=float(step), mode="nearest")[:, 0, :height, :width]
    (x0, x1), (y0, y1) = threshold_crossings(inside.amax(1), limit), threshold_crossings(inside.amax(2), limit)
    return torch.stack([x0, y0, x1, y1], 1)
