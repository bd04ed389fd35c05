"""Doubt: how far a prediction may be wrong, without annotation; higher = more doubtful in every column.

Predictions are those that `scores.Comparison` takes, [N, ...] of one task. Every disagreement also measures smallness, because the same
shift lowers the IoU of a small box more.
"""

from collections.abc import Sequence

import numpy as np

from htltools.core.geometry.boxes import iou
from htltools.core.geometry.mask_comparison import LIMIT, is_none
from htltools.core.geometry.objects import present
from htltools.core.hardness.scores import Comparison, present_mean


def view_disagreement(predictions: np.ndarray, views: Sequence[np.ndarray], comparison: Comparison) -> np.ndarray:
    """1 - mean overlap of predictions [N, ...] with those for other views of the same images, [N, ...] each: [N] in [0, 1].

    Views are the mirror images that a net may see, with the predictions put back (`mirror_disagreement`), or the look before the last
    (`look_disagreement`). NaN where there is no view.

    Reference: Wang et al., "Aleatoric uncertainty estimation with test-time augmentation", Neurocomputing 338, 2019 (arXiv 1807.07356).
    Deviations: mirror images only, and the disagreement of whole predictions takes the place of an entropy by pixel.

    >>> from htltools.core.geometry.boxes import overlap
    >>> from htltools.core.hardness.scores import edge_distance
    >>> from htltools.core.hardness.baselines import smallness
    >>> boxes, view = np.array([[0, 0, 1, 1.0]]), np.array([[0, 0, 0.5, 1]])
    >>> view_disagreement(boxes, [boxes, view], Comparison(overlap, edge_distance, smallness))
    array([0.25])
    """
    if not len(views):
        return np.full(len(predictions), np.nan)
    return present_mean([1 - comparison.overlap(predictions, view) for view in views])


def object_disagreement(objects: np.ndarray, views: Sequence[np.ndarray]) -> np.ndarray:
    """Of each predicted object [N, D, 6] 1 - its largest IoU with an object of its class in a view, mean over the views: [N, D] in [0, 1].

    NaN in empty places, and where there is no view.
    """
    doubt = np.full((len(views), *objects.shape[:2]), np.nan)
    for own, view in zip(doubt, views):
        overlaps = iou(objects[:, :, None, :4], view[:, None, :, :4]) * (objects[:, :, None, 4] == view[:, None, :, 4])
        own[:] = np.where(present(objects), 1 - overlaps.max(2), np.nan)
    return present_mean(doubt) if len(views) else np.full(objects.shape[:2], np.nan)


def soft_dice_doubt(masks: np.ndarray) -> np.ndarray:
    """1 - soft Dice of probabilities of lesion [N, H, W] with their own masks, the pixels from 0.5 on: float64 [N] in [0, 1].

    Higher = more doubtful; 1 where no pixel reaches 0.5, NaN where a mask is NaN.

    Reference: Borges et al., "Soft Dice Confidence", 2024 (arXiv 2402.10665), the near-optimal confidence for Dice.

    >>> soft_dice_doubt(np.array([[[1.0, 0.0]], [[0.5, 0.5]], [[0.4, 0.0]]])).round(4)
    array([0.    , 0.3333, 1.    ])
    """
    masks = masks.astype(float)
    lesion = masks >= LIMIT
    total = (masks + lesion).sum((1, 2))
    shared = 2 * (masks * lesion).sum((1, 2))
    doubt = 1 - np.divide(shared, total, out=np.zeros_like(total), where=total > 0)
    return np.where(is_none(masks), np.nan, doubt)
