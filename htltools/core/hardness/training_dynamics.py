"""Training dynamics: how hard each sample was to learn, told from how it fared in each epoch of a training. Pure numpy.

All of them read IoU or margin of E epochs and N samples, float [E, N], NaN where a sample was not seen; they skip such epochs,
and are NaN for a sample that was never seen. Higher = harder. They need annotations, and nothing is pruned: they are controls.
The answers are those of training itself: of augmented images, with the weights of that moment.
"""

import numpy as np

from htltools.core.hardness.scores import RIGHT, present_mean


def forgetting(iou: np.ndarray) -> np.ndarray:
    """How often each sample went from right to wrong between the epochs in which it was seen: [N], in [0, E].

    Right is an IoU of 0.75 or more. A sample that was never right has E, which is more than can be forgotten.

    Reference: Toneva et al., "An Empirical Study of Example Forgetting during Deep Neural Network Learning", ICLR 2019 (arXiv
    1812.05159), definition of forgetting events; samples never learned count as forgotten without end, E here. Deviation: right or
    wrong by IoU takes the place of the label.

    >>> forgetting(np.array([[0.8, 0.8, 0.1], [0.2, 0.8, 0.2], [0.9, np.nan, 0.3], [0.1, 0.9, 0.1]]))
    array([2., 0., 4.])
    """
    times = np.zeros(iou.shape[1])
    was, ever = np.zeros((2, iou.shape[1]), bool)
    for epoch in iou:
        seen, right = ~np.isnan(epoch), epoch >= RIGHT
        times += seen & was & ~right
        was = np.where(seen, right, was)
        ever |= right
    return np.where(np.isnan(iou).all(0), np.nan, np.where(ever, times, len(iou)))


def cartography_error(iou: np.ndarray) -> np.ndarray:
    """1 - mean IoU over epochs: [N], in [0, 1]; high = hard to learn.

    Reference: Swayamdipta et al., "Dataset Cartography", EMNLP 2020 (arXiv 2009.10795), confidence. Deviation: 1 - IoU takes the place
    of the probability of the true label, so that higher is harder.

    >>> cartography_error(np.array([[0.5, 1], [1, np.nan]]))
    array([0.25, 0.  ])
    """
    return 1 - present_mean(iou)


def cartography_spread(iou: np.ndarray) -> np.ndarray:
    """Standard deviation of the IoU over epochs: [N], in [0, 0.5]; high = ambiguous. A sample that never fits has little of it.

    Reference: as `cartography_error`; variability. Deviation: that of the IoU, not of a probability.

    >>> cartography_spread(np.array([[0.5, 1], [1, np.nan]]))
    array([0.25, 0.  ])
    """
    return np.sqrt(present_mean((iou - present_mean(iou)) ** 2))


def negative_aum(margin: np.ndarray) -> np.ndarray:
    """The mean margin over epochs, its sign turned: [N], in [-1, 1]; high = the answers fit the boxes of others better.

    Reference: Pleiss et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking", NeurIPS 2020 (arXiv 2001.10528),
    equation 2. Deviations: theirs is the logit of the label less the largest other logit; here the boxes of the other samples of the
    batch stand in for the other classes, and the margin is the IoU with the own box less the largest IoU with one of theirs. It
    therefore depends a little on the size of the batch. The sign is turned; theirs is low for wrong labels.

    >>> negative_aum(np.array([[0.5, -0.5], [0, np.nan]]))
    array([-0.25,  0.5 ])
    """
    return -present_mean(margin)


def dynamics(iou: np.ndarray, margin: np.ndarray) -> dict[str, np.ndarray]:
    """Every column that training dynamics give: [N] each.

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
