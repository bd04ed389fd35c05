"""Answers of other tools, which may hold no box for a sample: none is a miss where there is one to find, and no say elsewhere."""

from collections.abc import Callable, Sequence

import numpy as np

NEED_ANNOTATION = "pruned_loss", "iou_drop", "loss_gap", "pie", "loss", "el2n"


def or_miss(predicted: np.ndarray, annotated: np.ndarray) -> np.ndarray:
    """Predicted boxes [..., N, 4] in which a missing one (NaN) is a miss where there is an annotated box [N, 4]; shares of the sides.

    A miss is a box without area in the corner of the image that is farthest from the annotated one: its IoU is 0, and hardly any
    answer has a higher loss.

    >>> or_miss(np.full((1, 4), np.nan), np.array([[0.1, 0.7, 0.3, 0.9]]))
    array([[1., 0., 1., 0.]], dtype=float32)
    """
    corner = (annotated[:, :2] + annotated[:, 2:] < 1).astype(annotated.dtype)
    miss = np.where(np.isnan(annotated), np.nan, np.tile(corner, 2))
    return np.where(np.isnan(predicted), miss, predicted).astype(np.float32)


def with_misses(
    columns: Callable[..., dict[str, np.ndarray]],
    dense: np.ndarray,
    pruned: np.ndarray,
    annotated: np.ndarray,
    pairs: Sequence[tuple[int, int]],
) -> dict[str, np.ndarray]:
    """Columns of `hardness.scores` or `hardness.by_model`, with their arguments, of answers that may be missing (NaN).

    Those that compare an answer with the annotation count a missing one as a miss. Those that compare answers with each other are
    NaN: without an annotation nobody knows whether nothing was found or nothing was looked at.
    """
    missed = columns(or_miss(dense, annotated), or_miss(pruned, annotated), annotated, pairs)
    return columns(dense, pruned, annotated, pairs) | {name: missed[name] for name in NEED_ANNOTATION if name in missed}
