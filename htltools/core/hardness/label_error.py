"""Label errors: on a sample with a wrong annotation, models agree with each other and not with it; on a hard sample they disagree."""

import numpy as np

SMALL = 0.03  # a difference of IoU that is noise: keeps perfect agreement from making a small error look large


def suspect(error: np.ndarray, pruned_disagreement: np.ndarray) -> np.ndarray:
    """How much the annotation looks wrong: [N], from `error`, 1 - IoU of predictions and annotation [N], and `pruned_disagreement` [N].

    (error + 0.03) / sqrt(pruned_disagreement + 0.03), in [0.03, 5.95]; higher = more likely wrong; NaN where there is no annotation. It
    ranks samples and is no probability: it does not say how many annotations are wrong.

    The form is this project's own: power and constant are the middle of a plateau, found with planted wrong boxes on
    HAM10000 and on phantoms (powers from 1/4 to 3/4 and constants from 0.01 to 0.1 rank samples nearly alike).

    >>> suspect(np.array([0.4, 0.4, 0.1]), np.array([0.02, 0.3, 0.02])).round(2)
    array([1.92, 0.75, 0.58])
    """
    return (np.asarray(error, float) + SMALL) / np.sqrt(np.asarray(pruned_disagreement, float) + SMALL)
