"""How predicted lesion masks compare, sample by sample.

Masks are probabilities of lesion, float32 [N, H, W] in [0, 1]; a mask of NaN is none, and what needs it is NaN.
"""

import numpy as np
import torch

from htltools.core.geometry.masks import LIMIT, iou_and_dice, mask_boxes, mask_loss_of_probabilities


def is_none(masks: np.ndarray) -> np.ndarray:
    """Which masks [..., H, W] are none: bool [...]."""
    return np.isnan(masks).any((-2, -1))


def mask_overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of the pixels that are lesion: [N] in [0, 1], 1 = the same, also where both are empty."""
    iou, _ = iou_and_dice(torch.from_numpy(a >= LIMIT), torch.from_numpy(b >= LIMIT))
    return np.where(is_none(a) | is_none(b), np.nan, iou.numpy())


def mask_shift(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean distance of the four edges of the boxes around the masks: [N] in [0, 1], in units of the image's sides."""
    return np.abs(boxes_of_masks(a).astype(float) - boxes_of_masks(b)).mean(-1)


def mask_smallness(masks: np.ndarray) -> np.ndarray:
    """1 - the share of the image that is lesion: [N] in [0, 1]."""
    return np.where(is_none(masks), np.nan, 1 - (masks >= LIMIT).mean((1, 2)))


def mask_losses(side: np.ndarray, annotated: np.ndarray) -> np.ndarray:
    """Training loss of the masks [M, N, H, W] of M models against annotated ones [N, H, W]: [M, N], 0 or more; higher = worse."""
    known = torch.from_numpy(annotated)
    return np.array([mask_loss_of_probabilities(torch.from_numpy(masks), known).numpy() for masks in side], float)


def boxes_of_masks(masks: np.ndarray) -> np.ndarray:
    """The box around each mask [..., H, W]: float32 [..., 4], shares of the sides."""
    flat = torch.from_numpy(np.nan_to_num(masks.reshape(-1, *masks.shape[-2:])))
    return np.where(is_none(masks)[..., None], np.float32(np.nan), mask_boxes(flat).numpy().reshape(*masks.shape[:-2], 4))


def boxes_and_overlaps(boxes: np.ndarray, masks: np.ndarray, annotated: np.ndarray) -> np.ndarray:
    """Boxes [B, 4] beside IoU and Dice of their masks, probabilities [B, H, W], with annotated masks [B, H, W] (0 = no lesion): [B, 6]."""
    iou, dice = iou_and_dice(torch.from_numpy(masks >= LIMIT), torch.from_numpy(annotated > 0))
    return np.column_stack([boxes, iou.numpy(), dice.numpy()])
