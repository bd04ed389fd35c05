"""How predicted lesion masks compare, sample by sample, and the box around each: as in `masks`, of arrays, without torch.

Masks are probabilities of lesion, float32 [N, H, W] in [0, 1]; a mask of NaN is none, and what needs it is NaN.
"""

import numpy as np
from scipy.ndimage import binary_dilation, uniform_filter

from htltools.core.geometry.surface_distances import outline_agreement

LIMIT = 0.5  # from which on a pixel counts as lesion
COARSE = 32  # places along the longer side of the map on which regions grow
AROUND = 5  # places, a side, over which the probability is averaged to find the region
SMALLEST = 1e-6  # probabilities of a loss are clipped to [SMALLEST, 1 - SMALLEST]
FLAT = 1e-6  # a slope below counts as this one
NEIGHBOURS = np.ones((1, 3, 3), bool)  # of a place, of each mask by itself
AT_ONCE = 2**22  # pixels of a loss in memory


def is_none(masks: np.ndarray) -> np.ndarray:
    """Which masks [..., H, W] are none: bool [...]."""
    return np.isnan(masks).any((-2, -1))


def iou_and_dice_of_arrays(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """IoU and Dice of masks bool [..., H, W] that broadcast: float32 [...] twice, in [0, 1]; 1 = the same, also where both are empty.

    >>> iou_and_dice_of_arrays(np.array([[True, True, False]]), np.array([[False, True, True]]))
    (array(0.33333334, dtype=float32), array(0.5, dtype=float32))
    """
    both = np.asarray((one & other).sum((-2, -1)), np.float32)
    sizes = np.asarray(one.sum((-2, -1)), np.float32) + np.asarray(other.sum((-2, -1)), np.float32)
    empty = sizes == 0
    dice = np.where(empty, np.float32(1), 2 * both / np.maximum(sizes, 1))
    return np.where(empty, np.float32(1), both / np.maximum(sizes - both, 1)), dice


def mask_overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of the pixels that are lesion: [N] in [0, 1], 1 = the same, also where both are empty."""
    iou, _ = iou_and_dice_of_arrays(a >= LIMIT, b >= LIMIT)
    return np.where(is_none(a) | is_none(b), np.nan, iou)


def mask_shift(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean distance of the four edges of the boxes around the masks: [N] in [0, 1], in units of the image's sides."""
    return np.abs(boxes_of_masks(a).astype(float) - boxes_of_masks(b)).mean(-1)


def mask_smallness(masks: np.ndarray) -> np.ndarray:
    """1 - the share of the image that is lesion: [N] in [0, 1]."""
    return np.where(is_none(masks), np.nan, 1 - (masks >= LIMIT).mean((1, 2)))


def mask_losses(side: np.ndarray, annotated: np.ndarray) -> np.ndarray:
    """Training loss of the masks [M, N, H, W] of M models against annotated ones [N, H, W], `masks.mask_loss`: [M, N], 0 or more."""
    values = np.full(side.shape[:2], np.nan)
    step = max(AT_ONCE // max(side[0, :1].size, 1), 1)
    for masks, own in zip(side, values):
        for first in range(0, len(annotated), step):
            part = slice(first, first + step)
            own[part] = loss_of_probabilities(masks[part], annotated[part])
    return values


def loss_of_probabilities(masks: np.ndarray, annotated: np.ndarray) -> np.ndarray:
    """The loss `masks.mask_loss` of probabilities [B, H, W], clipped to 1e-6 from 0 and 1: float64 [B]. NaN in either gives NaN."""
    probability, annotated = np.clip(masks.astype(float), SMALLEST, 1 - SMALLEST), annotated.astype(float)
    pixels = -(annotated * np.log(probability) + (1 - annotated) * np.log1p(-probability)).mean((1, 2))
    dice = (2 * (probability * annotated).sum((1, 2)) + 1) / ((probability + annotated).sum((1, 2)) + 1)
    projections = 0.0
    for axis in (1, 2):
        ours, theirs = probability.max(axis), annotated.max(axis)
        projections = projections + 1 - (2 * (ours * theirs).sum(1) + 1) / ((ours**2 + theirs**2).sum(1) + 1)
    return pixels + 1 - dice + projections


def boxes_of_masks(masks: np.ndarray) -> np.ndarray:
    """The box around each mask [..., H, W]: float32 [..., 4], shares of the sides, see `masks.mask_boxes`; NaN where the mask is none.

    >>> boxes_of_masks(np.array([[[0.0, 0.0, 0.5, 1.0, 0.0]]], np.float32))
    array([[0.5, 0. , 0.8, 1. ]], dtype=float32)
    """
    flat = np.nan_to_num(masks.reshape(-1, *masks.shape[-2:]).astype(np.float32, copy=False))
    boxes = array_boxes(flat) if len(flat) else np.zeros((0, 4), np.float32)
    return np.where(is_none(masks)[..., None], np.float32(np.nan), boxes.reshape(*masks.shape[:-2], 4))


def array_boxes(masks: np.ndarray) -> np.ndarray:
    """The boxes of `masks.mask_boxes`, step by step the same, of an array [B, H, W]: float32 [B, 4]."""
    count, height, width = masks.shape
    step = -(-max(height, width) // COARSE)
    whole = np.pad(masks, ((0, 0), (0, -height % step), (0, -width % step)))
    blocks = whole.reshape(count, whole.shape[1] // step, step, whole.shape[2] // step, step)
    highest, mean = blocks.max((2, 4)), blocks.mean((2, 4))  # [B, h, w]
    top = highest.max((1, 2))
    limit = np.where(top < LIMIT, top / 2, np.float32(LIMIT))  # [B]
    allowed = highest >= limit[:, None, None]
    near = uniform_filter(mean, (1, AROUND, AROUND), mode="constant") * allowed
    seed = (near >= near.max((1, 2), keepdims=True)) & allowed
    region = binary_dilation(seed, NEIGHBOURS, max(seed.shape[1:]), mask=allowed)
    around = binary_dilation(region, NEIGHBOURS)  # with the nearest places outside, where the probability falls below LIMIT
    inside = masks * around.repeat(step, 1).repeat(step, 2)[:, :height, :width]
    (x0, x1), (y0, y1) = (crossings(inside.max(axis), limit) for axis in (1, 2))
    return np.stack([x0, y0, x1, y1], 1).astype(np.float32)


def crossings(profile: np.ndarray, threshold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each profile [B, n] first rises to its threshold [B], and last falls below it, two of [B] in [0, 1]: as
    `class_maps_to_boxes.threshold_crossings`.
    """
    size, each = profile.shape[1], np.arange(len(profile))
    limit = np.minimum(profile.max(1), threshold)
    above = profile >= limit[:, None]
    first, last = above.argmax(1), size - 1 - above[:, ::-1].argmax(1)

    def distance(inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
        """Distance from the centre of the inner place to the crossing, in places."""
        values, beside = profile[each, inner], profile[each, outer.clip(0, size - 1)]
        return ((values - limit) / np.maximum(values - beside, FLAT)).clip(0, 1)

    start = np.where(first == 0, 0.0, first + 0.5 - distance(first, first - 1))
    end = np.where(last == size - 1, float(size), last + 0.5 + distance(last, last + 1))
    return start / size, end / size


def boxes_and_agreement(boxes: np.ndarray, masks: np.ndarray, annotated: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes [B, 4] beside what their masks, probabilities [B, H, W], have in common with annotated ones [B, H, W] (0 = no lesion): [B, 9].

    IoU, Dice, and the three columns of `outline_agreement`; sizes: (width, height) of the original images [B, 2].
    """
    predicted, lesion = masks >= LIMIT, annotated > 0
    return np.column_stack([boxes, *iou_and_dice_of_arrays(predicted, lesion), outline_agreement(predicted, lesion, sizes)])
