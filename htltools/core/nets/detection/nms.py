"""Non-maximum suppression for batches of images, with outputs of a fixed shape."""

import torch
from torch import Tensor, nn

from htltools.core.geometry.objects import EMPTY

SAME_OBJECT = 0.5  # IoU from which on two boxes of a class are the same object
LEAST_SCORE = 0.01  # below which a box counts as no object
ROUNDS = 20  # of suppression
MATCHING = 8  # rounds
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


def pairwise_iou(boxes: Tensor, others: Tensor | None = None) -> Tensor:
    """IoU of each box of an image with each other one, or one of another set: [B, C, 4] and [B, D, 4] give [B, C, D]; 0 without area."""
    rows, columns = boxes.unsqueeze(2), (boxes if others is None else others).unsqueeze(1)
    sides = torch.minimum(rows[..., 2:], columns[..., 2:]) - torch.maximum(rows[..., :2], columns[..., :2])
    both = sides[..., 0].clamp_min(0) * sides[..., 1].clamp_min(0)
    areas = [(each[..., 2] - each[..., 0]) * (each[..., 3] - each[..., 1]) for each in (rows, columns)]
    return both / (areas[0] + areas[1] - both).clamp_min(1e-9)


def nearest_first(one: Tensor, other: Tensor) -> Tensor:
    """As `geometry.matching.nearest_first`, of tensors [B, D, 6] and [B, M, 6]: [B, D].

    Pairs that are the best for both sides are matched at once, MATCHING times: until chains of that length have settled.
    """
    alike = (one[..., 4].unsqueeze(2) == other[..., 4].unsqueeze(1)) & (one[..., 4] >= 0).unsqueeze(2)
    overlaps = pairwise_iou(one[..., :4], other[..., :4]) * alike
    reached, number = torch.zeros_like(one[..., 0]), torch.arange(one.shape[1], device=one.device)
    for _ in range(MATCHING):
        best, column = overlaps.max(2)  # [B, D]
        row = overlaps.argmax(1)  # [B, M]
        mutual = (row.gather(1, column) == number) & (best > 0)
        reached = torch.where(mutual, best, reached)
        pairs = mutual.unsqueeze(2) & (column.unsqueeze(2) == torch.arange(other.shape[1], device=one.device))  # [B, D, M]
        overlaps = overlaps * ~(pairs.any(2, keepdim=True) | pairs.any(1, keepdim=True))
    return reached


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
