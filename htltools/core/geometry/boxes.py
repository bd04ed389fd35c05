"""Boxes: [x0, y0, x1, y1], x1 and y1 exclusive, as numpy arrays [..., 4] in any unit."""

import numpy as np

SMOOTH = 0.05  # where smooth L1 of the box loss turns from quadratic to linear, as a share of the image's side
EDGES = 5.0  # weight of the edges against the overlap in the box loss
EPSILON = 1e-7  # added to areas that the box loss divides by, as torchvision has it
DIGITS = 9  # of IoU: boxes that overlap by exactly a half have .5, also where their edges are shares of the sides


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union, box by box: [N, 4] and [N, 4] give [N], in [0, 1]; 1 = the same box.

    A box without area (x1 <= x0 or y1 <= y0) has IoU 0 with everything. The arithmetic is float64, rounded to DIGITS digits, so that
    thresholds are met whatever the unit of the edges: 60 / 100 - 20 / 100 is less than 40 / 100.

    >>> iou(np.array([[0, 0, 2, 2.]]), np.array([[1, 0, 3, 2.]]))
    array([0.33333333])
    >>> iou(np.array([[0.2, 0, 0.6, 1]]), np.array([[0.2, 0, 0.4, 1]]))
    array([0.5])
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    both = np.clip(high - low, 0, None).prod(-1)
    either = area(a) + area(b) - both
    return np.divide(both, either, out=np.zeros_like(both), where=either > 0).round(DIGITS)


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of boxes [N, 4]: [N] in [0, 1]; NaN where either box is NaN, which stands for none."""
    return np.where(np.isnan(a).any(-1) | np.isnan(b).any(-1), np.nan, iou(a, b))


def area(boxes: np.ndarray) -> np.ndarray:
    """Area of boxes [..., 4], in square units; 0 where x1 <= x0 or y1 <= y0."""
    boxes = np.asarray(boxes, float)
    return np.clip(boxes[..., 2:] - boxes[..., :2], 0, None).prod(-1)


def box_of_mask(lesion_mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """The tight box around the true pixels of a mask [H, W]; None where there is none.

    >>> box_of_mask(np.eye(4, dtype=bool)[:3])
    (0, 0, 3, 3)
    """
    columns, rows = np.flatnonzero(lesion_mask.any(0)), np.flatnonzero(lesion_mask.any(1))
    if not len(columns):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def boxes_of_labels(labels: np.ndarray) -> list[tuple[int, int, int, int]]:
    """The tight box around each object of a label map, whole numbers [H, W], 0 = none, in the order of the numbers.

    >>> boxes_of_labels(np.array([[0, 2, 2], [1, 0, 0]]))
    [(0, 1, 1, 2), (1, 0, 3, 1)]
    """
    from scipy.ndimage import find_objects

    if labels.max() <= 1:  # of one object: four times as fast
        box = box_of_mask(labels > 0)
        return [box] if box else []
    return [(x.start, y.start, x.stop, y.stop) for y, x in filter(None, find_objects(labels))]


def scaled(boxes: np.ndarray, from_size: tuple[float, float], to_size: tuple[float, float]) -> np.ndarray:
    """Boxes [..., 4] of a frame (width, height), in another frame."""
    factor = np.tile(np.divide(to_size, from_size), 2)
    return np.asarray(boxes, float) * factor


def fraction_boxes(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] in pixels of images of (width, height) [N, 2], as shares of width and height: float64."""
    return boxes / np.tile(sizes, 2)


def pixel_boxes(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] as shares of width and height, in pixels of images of (width, height) [N, 2]."""
    return boxes * np.tile(sizes, 2)


def clipped(boxes: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    """Boxes [..., 4] cut at the border of their image (width, height)."""
    return np.clip(boxes, 0, np.tile(size, 2))


def single_box(boxes: np.ndarray, how: str) -> np.ndarray:
    """One box [4] for several [B, 4]: the `largest`, or the `union`, the tight box around all."""
    boxes = np.asarray(boxes, float)
    if how == "union":
        return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])
    return boxes[area(boxes).argmax()]


def constant_iou(training: np.ndarray, held_out: np.ndarray) -> float:
    """Mean IoU of held-out boxes [M, 4] and one constant box, the median of the training boxes [N, 4]: the baseline to beat."""
    return float(iou(np.broadcast_to(np.median(training, 0), held_out.shape), held_out).mean())


def box_losses(predicted: np.ndarray, annotated: np.ndarray) -> np.ndarray:
    """The training loss of boxes [..., 4], `box_loss.box_loss`, of arrays: float64 [...], 0 or more; higher = worse, NaN for a NaN.

    >>> box_losses(np.array([0, 0, 0.5, 1]), np.array([[0, 0, 0.5, 1], [0.5, 0, 1, 1]])).round(3)
    array([0.   , 2.188])
    """
    a, b = np.broadcast_arrays(np.asarray(predicted, float), np.asarray(annotated, float))
    far = np.abs(a - b)
    edges = np.where(far < SMOOTH, far**2 / (2 * SMOOTH), far - SMOOTH / 2).mean(-1)
    both = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None).prod(-1)
    either = sum((box[..., 2:] - box[..., :2]).prod(-1) for box in (a, b)) - both
    around = (np.maximum(a[..., 2:], b[..., 2:]) - np.minimum(a[..., :2], b[..., :2])).prod(-1)
    return EDGES * edges + 1 - both / (either + EPSILON) + (around - either) / (around + EPSILON)
