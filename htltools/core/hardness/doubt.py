"""Doubt: how far a prediction may be wrong, without annotation; higher = more doubtful in every column.

Predictions are those that `scores.Comparison` takes, [N, ...] of one task. Every disagreement also measures smallness, because the same
shift lowers the IoU of a small box more.
"""

from collections.abc import Sequence

import numpy as np

from htltools.core.geometry.mask_comparison import LIMIT, is_none
from htltools.core.geometry.matching import nearest_first
from htltools.core.geometry.objects import is_known, present
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


def object_disagreement(objects: np.ndarray, views: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Doubt of predicted objects [N, D, 6] by other views of the same images, [N, ., 6] each: of images [N], and of objects [N, D].

    Objects of one class are matched one to one, see `matching.nearest_first`. The doubt of an object is 1 - its IoU with the one that
    stands for it in a view, 1 where none does, mean over the views; NaN in empty places. That of an image is 1 - the sum of these IoU
    over the larger number of objects, so that an object that only the view has counts as one that only the prediction has; 0 where
    neither has any. Both are in [0, 1], and NaN where there is no view or an image is unknown.

    >>> objects, view = np.array([[[0, 0, 1, 1, 0, 0.9], [0, 0, 1, 1, 1, 0.8]]]), np.array([[[0, 0, 1, 0.5, 0, 0.9]]])
    >>> object_disagreement(objects, [view])
    (array([0.75]), array([[0.5, 1. ]]))
    """
    by_image, by_object, there = [], [], present(objects)
    for view in views:
        met, most = nearest_first(objects, view), np.maximum(there.sum(1), present(view).sum(1))
        by_image.append(np.where(is_known(objects) & is_known(view), 1 - np.where(most > 0, met.sum(1) / np.maximum(most, 1), 1), np.nan))
        by_object.append(np.where(there & is_known(view)[:, None], 1 - met, np.nan))
    if not views:
        return np.full(len(objects), np.nan), np.full(objects.shape[:2], np.nan)
    return present_mean(by_image), present_mean(by_object)


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
