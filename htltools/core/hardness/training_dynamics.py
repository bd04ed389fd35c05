"""Training dynamics: how hard each sample was to learn, from its predictions in each epoch of a training. Pure numpy.

Each score is computed from IoU or margin of E epochs and N samples, float [E, N], NaN where an epoch did not use a sample; such epochs
are skipped, and a sample that was never used scores NaN. Higher = harder. They need annotations, and nothing is pruned: they are
controls. The predictions are those made during training: of augmented images, with the weights of that step.
"""

import numpy as np

from htltools.core.hardness.scores import RIGHT, present_mean


def forgetting(iou: np.ndarray) -> np.ndarray:
    """How often each sample went from right to wrong between the epochs that used it: [N], in [0, E].

    Right is an IoU of 0.75 or more. A sample that was never right has E, which is more than the largest possible count.

    Reference: Toneva et al., "An Empirical Study of Example Forgetting during Deep Neural Network Learning", ICLR 2019 (arXiv
    1812.05159), definition of forgetting events; samples never learned have infinitely many, E here. Deviation: right or
    wrong by IoU takes the place of the label.

    >>> forgetting(np.array([[0.8, 0.8, 0.1], [0.2, 0.8, 0.2], [0.9, np.nan, 0.3], [0.1, 0.9, 0.1]]))
    array([2., 0., 4.])
    """
    events = np.zeros(iou.shape[1])
    was_right, ever_right = np.zeros((2, iou.shape[1]), bool)
    for epoch in iou:
        used, right = ~np.isnan(epoch), epoch >= RIGHT
        events += used & was_right & ~right
        was_right = np.where(used, right, was_right)
        ever_right |= right
    return np.where(np.isnan(iou).all(0), np.nan, np.where(ever_right, events, len(iou)))


def cartography_error(iou: np.ndarray) -> np.ndarray:
    """1 - mean IoU over epochs: [N], in [0, 1]; high = hard to learn.

    Reference: Swayamdipta et al., "Dataset Cartography", EMNLP 2020 (arXiv 2009.10795), confidence. Deviation: 1 - IoU takes the place
    of the probability of the true label, so that higher is harder.

    >>> cartography_error(np.array([[0.5, 1], [1, np.nan]]))
    array([0.25, 0.  ])
    """
    return 1 - present_mean(iou)


def cartography_spread(iou: np.ndarray) -> np.ndarray:
    """Standard deviation of the IoU over epochs: [N], in [0, 0.5]; high = ambiguous. A sample that is never learned has a low one.

    Reference: as `cartography_error`; variability. Deviation: that of the IoU, not of a probability.

    >>> cartography_spread(np.array([[0.5, 1], [1, np.nan]]))
    array([0.25, 0.  ])
    """
    return np.sqrt(present_mean((iou - present_mean(iou)) ** 2))


def negative_aum(margin: np.ndarray) -> np.ndarray:
    """The mean margin over epochs, its sign turned: [N], in [-1, 1]; high = predictions fit the boxes of other samples better.

    Reference: Pleiss et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking", NeurIPS 2020 (arXiv 2001.10528),
    equation 2. Deviations: theirs is the logit of the label less the largest other logit; here the boxes of the other samples of the
    batch stand in for the other classes, and the margin is the IoU with the own box less the largest IoU with one of theirs. It
    therefore depends a little on the size of the batch. The sign is turned; theirs is low for wrong labels.

    >>> negative_aum(np.array([[0.5, -0.5], [0, np.nan]]))
    array([-0.25,  0.5 ])
    """
    return -present_mean(margin)


def dynamics(iou: np.ndarray, margin: np.ndarray) -> dict[str, np.ndarray]:
    """All columns of training dynamics by name: [N] each.

    Raises: ValueError for other shapes than [E, N] twice.
    """
    if iou.ndim != 2 or iou.shape != margin.shape:
        raise ValueError(f"expected [E, N] twice, got {iou.shape} and {margin.shape}")
    return {
        "forgetting": forgetting(iou),
        "cartography_error": cartography_error(iou),
        "cartography_spread": cartography_spread(iou),
        "negative_aum": negative_aum(margin),
    }
