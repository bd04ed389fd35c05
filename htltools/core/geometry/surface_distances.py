"""How far apart the outlines of two masks are: 95th percentile and mean of surface distances, and IoU of the pixels near the outline."""

import numpy as np

from htltools.core.geometry.boxes import box_of_mask

NEAR = 0.02  # of the image's diagonal: how far from the outline a pixel counts in boundary IoU
ROUNDING = 1e-9


def outline_agreement(predicted: np.ndarray, annotated: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """HD95, average symmetric surface distance and boundary IoU of masks bool [N, H, W] twice: float [N, 3].

    sizes: width and height of the original images [N, 2], whose proportions hold, while masks may be squashed. Distances are shares of
    the image's diagonal, in [0, 1], lower is better; boundary IoU is in [0, 1], 1 = the same. Where one mask is empty they are 1, 1
    and 0, the worst there is; where both are, 0, 0 and 1.

    The outline is made of the pixels of a mask that have a neighbour outside of it, above, below or beside; the border of the image
    counts as outside. HD95 is the larger of the 95th percentiles of the distances from either outline to the other; the average is over
    the pixels of both. Near the outline are the pixels of a mask at most 2 % of the diagonal from the nearest one outside, and those at
    the outline itself.

    Reference: Maier-Hein, Reinke et al., "Metrics reloaded", Nature Methods 21, 2024 (HD95, ASSD); Cheng et al., "Boundary IoU", CVPR
    2021 (arXiv 2103.16562). Deviations: shares of the diagonal in place of millimetres, which photographs do not have; pixels near the
    outline by Euclidean distance, where the code of Cheng et al. erodes by squares.

    >>> square = np.zeros((1, 8, 6), bool); square[:, 2:6, 1:4] = True
    >>> outline_agreement(square, np.roll(square, 1, 1), np.array([[6, 8]])).round(3).tolist()
    [[0.1, 0.04, 0.429]]
    """
    return np.array([agreement_of(*each) for each in zip(predicted, annotated, sizes)], float).reshape(-1, 3)


def agreement_of(one: np.ndarray, other: np.ndarray, size: np.ndarray) -> tuple[float, float, float]:
    """As `outline_agreement`, of two masks [H, W]."""
    from scipy.ndimage import distance_transform_edt

    if not (one.any() and other.any()):
        return (1.0, 1.0, 0.0) if one.any() or other.any() else (0.0, 0.0, 1.0)
    spacing = size[::-1] / np.array(one.shape) / np.hypot(*size)  # of rows and columns
    x0, y0, x1, y1 = box_of_mask(one | other) or (0, 0, 0, 0)
    masks = [np.pad(mask[y0:y1, x0:x1], 1) for mask in (one, other)]  # what lies around is outside of both
    outlines = [outline(mask) for mask in masks]
    apart = [distance_transform_edt(~outlines[1 - i], spacing)[outlines[i]] for i in (0, 1)]
    limit = max(NEAR, *spacing) + ROUNDING
    near = [mask & (distance_transform_edt(mask, spacing) <= limit) | edge for mask, edge in zip(masks, outlines)]
    farthest = max(float(np.percentile(each, 95)) for each in apart)
    return farthest, float(np.concatenate(apart).mean()), float((near[0] & near[1]).sum() / (near[0] | near[1]).sum())


def outline(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask [H, W], empty at its border, that have one of four neighbours outside: bool [H, W]."""
    from scipy.ndimage import binary_erosion

    return mask & ~binary_erosion(mask)
