"""Metrics of class maps: box accuracy at thresholds of the map, and average precision of its pixels. Pure numpy."""

import numpy as np

THRESHOLDS = 0.3, 0.5, 0.7  # IoU from which a box is right
LEVELS = 1000  # thresholds of the map, evenly in [0, 1], that the precision of pixels is averaged over


def maxboxacc_v2(ious: np.ndarray) -> float:
    """Mean over the IoU thresholds .3, .5 and .7 of the share of right boxes at the best threshold of the map: in [0, 1].

    ious: [T, N], of the boxes at T thresholds of the map and the annotated ones. With T = 1 the threshold is fixed beforehand, which
    gives a fair figure; of several, the best for each IoU threshold is chosen on the samples that are measured: an oracle.

    Reference: Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right", CVPR 2020 (arXiv 2001.07437), equation 3
    and V2. Deviation: one box for each map, that of its peak, instead of the best of all regions above the threshold.

    >>> round(maxboxacc_v2(np.array([[0.4, 0.6], [0.1, 0.8]])), 3)
    0.667
    """
    right = np.asarray(ious)[:, None, :] >= np.array(THRESHOLDS)[:, None]  # [T, 3, N]
    return float(right.mean(2).max(0).mean())


def pixel_counts(maps: np.ndarray, lesion_masks: np.ndarray) -> np.ndarray:
    """Number of pixels outside and inside the lesion at each level of the map: int64 [2, LEVELS]. Counts of batches add up.

    maps: [N, H, W], in [0, 1]; lesion_masks: bool [N, H, W].
    """
    level = np.minimum((maps * LEVELS).astype(int), LEVELS - 1)
    return np.stack([np.bincount(level[lesion_masks == lesion], minlength=LEVELS) for lesion in (False, True)])


def pxap(counts: np.ndarray) -> float:
    """Pixel average precision, the area under the curve of precision against recall over all thresholds of the map: in [0, 1].

    counts: [2, LEVELS], see `pixel_counts`, of all samples together. A constant map has the share of lesion pixels.

    Reference: Choe et al. 2020, as above, equation 5.

    >>> pxap(pixel_counts(np.array([[[0.1, 0.9]]]), np.array([[[False, True]]])))
    1.0
    """
    outside, inside = np.asarray(counts)[:, ::-1].cumsum(1).astype(float)  # from the highest level down
    above = inside + outside
    precision = np.divide(inside, above, out=np.ones_like(inside), where=above > 0)
    recall = inside / max(inside[-1], 1)
    return float((precision * np.diff(recall, prepend=0)).sum())
