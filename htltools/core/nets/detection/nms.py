"""Non-maximum suppression for batches of images, with outputs of a fixed shape."""

import torch
from torch import Tensor, nn

from htltools.core.geometry.objects import EMPTY

SAME_OBJECT = 0.5  # IoU from which on two boxes of a class are the same object
LEAST_SCORE = 0.01  # below which a box counts as no object
ROUNDS = 20  # of suppression
STEPS = 1e5  # that scores from 0 to 1 are rounded to


def highest_scores(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The highest scores [B, n] of [B, C] in [0, 1], rounded, in falling order, and their places int64 [B, n]; n = min(count, C).

    Of equal ones the first come first, which `topk` alone leaves open: rounding and places make every engine choose alike.
    """
    steps, number = (scores * STEPS).round(), scores.shape[1]
    rank = steps.long() * number + torch.arange(number - 1, -1, -1, device=scores.device)
    places = rank.topk(min(count, number), 1).indices
    return steps.gather(1, places) / STEPS, places


def nms_mask(boxes: Tensor, scores: Tensor, labels: Tensor, alike: float) -> Tensor:
    """Non-maximum suppression: 1 for boxes that stay, 0 for those that one of their class with a higher score suppresses: [B, C].

    Boxes [B, C, 4], scores [B, C] in falling order, labels [B, C]; a box suppresses others of more than `alike` IoU, unless it is
    suppressed itself. `torchvision.ops.nms` does this for one image, with an output of no fixed length. Here the rule is applied to
    all boxes at once, ROUNDS times: until chains of suppression of that length have settled.
    """
    earlier = torch.ones(boxes.shape[1], boxes.shape[1], device=boxes.device).tril(-1)  # [i, j]: j scores more than i
    near = (pairwise_iou(boxes) > alike) & (labels.unsqueeze(2) == labels.unsqueeze(1))
    suppressed_by = near.to(earlier.dtype) * earlier  # [B, C, C]
    kept = torch.ones_like(scores)
    for _ in range(ROUNDS):
        kept = (torch.bmm(suppressed_by, kept.unsqueeze(2)).squeeze(2) < 0.5).to(kept.dtype)
    return kept


def pairwise_iou(boxes: Tensor) -> Tensor:
    """IoU of each box of an image with each other one: [B, C, 4] give [B, C, C]; 0 where both have no area."""
    x0, y0, x1, y1 = boxes.unbind(2)

    def common(low: Tensor, high: Tensor) -> Tensor:
        both = torch.minimum(high.unsqueeze(2), high.unsqueeze(1)) - torch.maximum(low.unsqueeze(2), low.unsqueeze(1))
        return both.clamp_min(0)

    both, area = common(x0, x1) * common(y0, y1), (x1 - x0) * (y1 - y0)
    return both / (area.unsqueeze(2) + area.unsqueeze(1) - both).clamp_min(1e-9)


def best_objects(boxes: Tensor, scores: Tensor, labels: Tensor, most: int) -> Tensor:
    """The `most` objects of highest score, after suppression: [B, most, 6].

    Boxes [B, C, 4], scores [B, C] in falling order, labels [B, C].
    """
    has_area = ((boxes[..., 2:] - boxes[..., :2]) > 0).all(2)
    scores = scores * nms_mask(boxes, scores, labels, SAME_OBJECT) * has_area
    scores, place = highest_scores(scores, most)
    there = (scores >= LEAST_SCORE).unsqueeze(2)
    boxes = boxes.gather(1, place.unsqueeze(2).expand(-1, -1, 4))
    labels = labels.gather(1, place).to(boxes.dtype).unsqueeze(2)
    objects = torch.cat([boxes * there, torch.where(there, labels, float(EMPTY)), scores.unsqueeze(2) * there], 2)
    return nn.functional.pad(objects, (0, 0, 0, most - objects.shape[1])) if objects.shape[1] < most else objects
