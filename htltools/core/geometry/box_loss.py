"""The training loss of boxes, and their IoU, as tensors."""

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from htltools.core.geometry.boxes import EDGES, SMOOTH


def box_loss(predicted: Tensor, annotated: Tensor) -> Tensor:
    """Loss of each box: [..., 4] and [..., 4] as shares of the sides give [...], 0 or more; higher = worse.

    Smooth L1 on the four edges plus the generalized IoU loss, in [0, 2] (Rezatofighi et al. 2019). The IoU loss alone depends
    little on distance once boxes are far apart; smooth L1 alone ignores that the same error matters more for a small box.
    """
    from torchvision.ops import generalized_box_iou_loss  # not above: what only predicts does without torchvision

    predicted, annotated = torch.broadcast_tensors(predicted.float(), annotated.float())
    edges = smooth_l1_loss(predicted, annotated, beta=SMOOTH, reduction="none").mean(-1)
    return EDGES * edges + generalized_box_iou_loss(predicted, annotated)


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of boxes [..., 4] that broadcast: [...], in [0, 1]; 0 where either has no area."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    both = (high - low).clamp(min=0).prod(-1)
    either = sum((box[..., 2:] - box[..., :2]).prod(-1) for box in (a, b)) - both
    return torch.where(either > 0, both / either, 0)
