"""Hardness: how much a sample depends on the weights that were cut, and the controls that do not prune.

Boxes are shares of the picture's sides. Every score is higher for harder samples. Where there is no annotation (NaN), the
scores that need one are NaN.

Reference: Jaiswal et al., "Attend Who is Weak", WACV 2023, which names the idea but not the formula; Hooker et al. 2019 for
classification. Deviation: the loss of a pruned net that has had a short recovery is the default, because the answer of an
unrecovered one says little beyond lesion size.
"""

import numpy as np
import torch

from htltools.core.boxes import iou
from htltools.core.boxloss import box_loss
from htltools.core.controls import smallness


def drift(dense: np.ndarray, pruned: np.ndarray) -> np.ndarray:
    """1 - IoU of dense and pruned boxes [N, 4]: [N] in [0, 1]. Also measures smallness: the same shift costs a small box more."""
    return 1 - iou(dense, pruned)


def shift(dense: np.ndarray, pruned: np.ndarray) -> np.ndarray:
    """Mean distance of the four edges of dense and pruned boxes [N, 4]: [N] in [0, 1], in units of the picture's sides."""
    return np.abs(np.asarray(dense, float) - pruned).mean(-1)


def losses(predicted: np.ndarray, annotated: np.ndarray) -> np.ndarray:
    """Training loss of predicted boxes [N, 4] against annotated ones: [N], 0 or more."""
    return box_loss(torch.from_numpy(predicted), torch.from_numpy(annotated)).numpy().astype(float)


def scores(dense: np.ndarray, pruned: np.ndarray, annotated: np.ndarray) -> dict[str, np.ndarray]:
    """Every column that follows from the answers: dense [N, 4], pruned [M, N, 4] (the mean over M models is taken), annotated [N, 4].

    Raises: ValueError for other shapes.
    """
    if pruned.ndim != 3 or pruned.shape[1:] != dense.shape or annotated.shape != dense.shape:
        raise ValueError(f"expected [N, 4], [M, N, 4], [N, 4], got {dense.shape}, {pruned.shape}, {annotated.shape}")
    known = ~np.isnan(annotated).any(-1)
    dense_iou = np.where(known, iou(dense, annotated), np.nan)
    pruned_iou = np.where(known, np.mean([iou(boxes, annotated) for boxes in pruned], 0), np.nan)
    loss = losses(dense, annotated)
    pruned_loss = np.mean([losses(boxes, annotated) for boxes in pruned], 0)
    return {
        "drift": np.mean([drift(dense, boxes) for boxes in pruned], 0),
        "shift": np.mean([shift(dense, boxes) for boxes in pruned], 0),
        "pruned_loss": pruned_loss,
        "iou_drop": dense_iou - pruned_iou,
        "loss_gap": pruned_loss - loss,
        "loss": loss,
        "area": smallness(annotated),
    }
