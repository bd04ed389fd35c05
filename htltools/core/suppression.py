"""Of many boxes the distinct ones, for batches of pictures at once and in arrays of one shape."""

import torch
from torch import Tensor, nn

from htltools.core.objects import EMPTY

ALIKE = 0.5  # IoU from which on two boxes of a class are the same object
LIKELY = 0.01  # score below which nothing is told
ROUNDS = 20  # of suppression


def distinct(boxes: Tensor, scores: Tensor, labels: Tensor, alike: float) -> Tensor:
    """Which boxes stay where each suppresses those of its class below it that are alike, unless it is suppressed itself: bool [B, C].

    Boxes [B, C, 4], scores [B, C] in falling order, labels [B, C]; `alike` is an IoU. This is non-maximum suppression, which
    `torchvision.ops.nms` does for one picture with an answer of no fixed length. Here the rule is applied to all boxes at once,
    again and again, until chains of suppression as long as ROUNDS have settled.
    """
    earlier = torch.ones(boxes.shape[1], boxes.shape[1], device=boxes.device).tril(-1)  # [i, j]: j scores more than i
    near = (overlaps(boxes) > alike) & (labels.unsqueeze(2) == labels.unsqueeze(1))
    suppressed_by = near.to(earlier.dtype) * earlier  # [B, C, C]
    kept = torch.ones_like(scores)
    for _ in range(ROUNDS):
        kept = (torch.bmm(suppressed_by, kept.unsqueeze(2)).squeeze(2) < 0.5).to(kept.dtype)
    return kept


def overlaps(boxes: Tensor) -> Tensor:
    """IoU of each box of a picture with each other one: [B, C, 4] give [B, C, C]; 0 where both have no area."""
    x0, y0, x1, y1 = boxes.unbind(2)

    def common(low: Tensor, high: Tensor) -> Tensor:
        both = torch.minimum(high.unsqueeze(2), high.unsqueeze(1)) - torch.maximum(low.unsqueeze(2), low.unsqueeze(1))
        return both.clamp_min(0)

    both, area = common(x0, x1) * common(y0, y1), (x1 - x0) * (y1 - y0)
    return both / (area.unsqueeze(2) + area.unsqueeze(1) - both).clamp_min(1e-9)


def foremost(boxes: Tensor, scores: Tensor, labels: Tensor, most: int) -> Tensor:
    """The best `most` distinct objects of boxes [B, C, 4] with scores [B, C] in falling order and labels [B, C]: [B, most, 6]."""
    has_area = ((boxes[..., 2:] - boxes[..., :2]) > 0).all(2)
    scores = scores * distinct(boxes, scores, labels, ALIKE) * has_area
    scores, best = scores.topk(min(most, scores.shape[1]))
    there = (scores >= LIKELY).unsqueeze(2)
    boxes = boxes.gather(1, best.unsqueeze(2).expand(-1, -1, 4))
    labels = labels.gather(1, best).to(boxes.dtype).unsqueeze(2)
    objects = torch.cat([boxes * there, torch.where(there, labels, float(EMPTY)), scores.unsqueeze(2) * there], 2)
    return nn.functional.pad(objects, (0, 0, 0, most - objects.shape[1])) if objects.shape[1] < most else objects
