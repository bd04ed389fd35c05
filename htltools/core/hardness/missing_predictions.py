"""Predictions of other tools, which may lack a box for a sample: a miss where a box is annotated, unknown elsewhere."""

import numpy as np


def filled_with_misses(predicted: np.ndarray, annotated: np.ndarray) -> np.ndarray:
    """Predicted boxes [..., N, 4] in which a missing one (NaN) is a miss where there is an annotated box [N, 4]; shares of the sides.

    A miss is a box without area in the corner of the image that is farthest from the annotated one: its IoU is 0, and hardly any
    prediction has a higher loss.

    >>> filled_with_misses(np.full((1, 4), np.nan), np.array([[0.1, 0.7, 0.3, 0.9]]))
    array([[1., 0., 1., 0.]])
    """
    corner = (annotated[:, :2] + annotated[:, 2:] < 1).astype(annotated.dtype)
    miss = np.where(np.isnan(annotated), np.nan, np.tile(corner, 2))
    return np.where(np.isnan(predicted), miss, predicted)
