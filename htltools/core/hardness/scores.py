"""Hardness: how much a sample depends on the weights that were cut, and the controls that do not prune.

Predictions are arrays [N, ...] of one task; a `Comparison` says how two of them compare. Every score is higher for harder samples.
A prediction of NaN is none: the annotation of an unlabelled sample, or a model that may not predict the sample. What needs a
prediction that is missing is NaN.

Reference: Jaiswal et al., "Attend Who is Weak", WACV 2023, which names the idea but not the formula; Hooker et al. 2019 for
classification. Deviation: the loss of a pruned net that has had a short recovery is the default, because the prediction of an
unrecovered one says little beyond lesion size.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from htltools.core.geometry.boxes import overlap
from htltools.core.hardness.label_error import suspect

RIGHT = 0.75  # the IoU from which on a prediction counts as right in `pie`


def disagreement(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """1 - IoU of two predictions, boxes [N, 4]: [N] in [0, 1]. Also measures smallness: the same shift costs a small box more."""
    return 1 - overlap(one, other)


def edge_distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean distance of the four edges of two predictions, boxes [N, 4]: [N] in [0, 1], in units of the image's sides."""
    return np.abs(np.asarray(one, float) - other).mean(-1)


@dataclass(frozen=True)
class Comparison:
    """How two predictions of one task compare, sample by sample; N predictions [N, ...] twice give [N].

    overlap: in [0, 1], 1 = the same, NaN where either is none. distance: mean distance of edges, shares of the image's sides, 0 = the
    same. smallness: of the annotation alone, 1 - the share of the image that it covers, in [0, 1]. edge_error: `el2n`, or None.
    """

    overlap: Callable[[np.ndarray, np.ndarray], np.ndarray]
    distance: Callable[[np.ndarray, np.ndarray], np.ndarray]
    smallness: Callable[[np.ndarray], np.ndarray]
    edge_error: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None


def el2n(predicted: np.ndarray, annotated: np.ndarray) -> np.ndarray:
    """L2 norm of the error of predicted boxes [N, 4]: [N] in [0, 2], in units of the image's sides.

    Reference: Paul et al., "Deep Learning on a Data Diet", NeurIPS 2021 (arXiv 2107.07075), EL2N. Deviations: theirs is the
    error of class probabilities, early in training; this is that of the four edges of the box, after training.

    >>> el2n(np.array([[0, 0, 0.5, 0.5]]), np.array([[0, 0, 0.8, 0.9]]))
    array([0.5])
    """
    return np.linalg.norm(np.asarray(predicted, float) - annotated, axis=-1)


def pie(dense: np.ndarray, pruned: np.ndarray) -> np.ndarray:
    """Share of the pruned models that are right where the dense ones are wrong, or the reverse: [N] in [0, 1]; NaN with fewer than two.

    dense [D, N], pruned [M, N]: their overlap with the annotation, NaN where there is none. Right is one of 0.75 or more; the dense
    ones are right where more than half of them are.

    Reference: Hooker et al., "What Do Compressed Deep Neural Networks Forget?", 2019 (arXiv 1911.05248), pruning identified
    exemplars. Deviations: right or wrong by IoU takes the place of the label; theirs compares the modal label of a population of
    pruned nets with that of the dense ones, yes or no, and this is the share of the pruned ones that differ, so that samples
    can be ranked; pruning is after training, not during it.
    """
    dense_right = present_mean(is_right(dense)) > 0.5
    pruned_right = is_right(pruned)
    several = (~np.isnan(pruned)).sum(0) > 1
    differs = np.where(np.isnan(pruned_right), np.nan, pruned_right != dense_right)
    return np.where(several, present_mean(differs), np.nan)


def is_right(reached: np.ndarray) -> np.ndarray:
    """Whether predictions that overlap so much with the annotation [...] are right: 1 or 0; NaN where nothing is known."""
    return np.where(np.isnan(reached), np.nan, reached >= RIGHT)


def seed_disagreement(dense: np.ndarray, comparison: Comparison) -> np.ndarray:
    """Mean of 1 - overlap over all pairs of dense models, [D, N, ...]: [N] in [0, 1]; NaN with fewer than two. Also measures smallness."""
    pairs = [1 - comparison.overlap(one, other) for one, other in combinations(dense, 2)]
    return present_mean(pairs) if pairs else np.full(dense.shape[1], np.nan)


def present_mean(values: Iterable[np.ndarray]) -> np.ndarray:
    """The mean over the first axis of what is there: [M, ...] to [...]; NaN where nothing is.

    >>> present_mean([np.array([1, np.nan, np.nan]), np.array([2, 2, np.nan])])
    array([1.5, 2. , nan])
    """
    values = np.array(list(values), float)
    present = ~np.isnan(values)
    count = present.sum(0)
    return np.divide(np.where(present, values, 0).sum(0), count, out=np.full(count.shape, np.nan), where=count > 0)


@dataclass(frozen=True)
class Sides:
    """Predictions and losses of D dense and M pruned models for N samples.

    dense [D, N, ...], pruned [M, N, ...]; dense_loss [D, N], pruned_loss [M, N]. pairs: (place of the dense model, place of the
    pruned one) of each pair that is compared. Samples that a model may not predict are NaN.
    """

    dense: np.ndarray
    pruned: np.ndarray
    dense_loss: np.ndarray
    pruned_loss: np.ndarray
    pairs: Sequence[tuple[int, int]]


def two_sides(predictions: np.ndarray, losses: np.ndarray, count: int, pairs: Sequence[tuple[int, int]]) -> Sides:
    """The sides of K models of which the first `count` are dense: predictions [K, N, ...] and losses [K, N]."""
    return Sides(predictions[:count], predictions[count:], losses[:count], losses[count:], pairs)


def scores_by_model(sides: Sides, annotation: np.ndarray, comparison: Comparison, missed: Sides | None = None) -> dict[str, np.ndarray]:
    """Columns that each of K models, or pairs of models, has of its own: [K, N] each. Arguments as in `scores`."""
    held, error = missed or sides, comparison.edge_error
    pairs = [(sides.dense[one], sides.pruned[other]) for one, other in sides.pairs]
    columns = {"loss": held.dense_loss}
    if pairs:
        columns = {
            "pruned_disagreement": np.array([1 - comparison.overlap(*pair) for pair in pairs]),
            "pruned_shift": np.array([comparison.distance(*pair) for pair in pairs]),
            "pruned_loss": held.pruned_loss,
            **columns,
        }
    return columns if error is None else columns | {"el2n": np.array([error(each, annotation) for each in held.dense])}


def scores(sides: Sides, annotation: np.ndarray, comparison: Comparison, missed: Sides | None = None) -> dict[str, np.ndarray]:
    """Every column that follows from predictions and losses alone: [N] each.

    annotation [N, ...] in the form of predictions, NaN where a sample has none. Each column is the mean over the models that may
    predict the sample; `pruned_disagreement`, `pruned_shift` and `suspect` over the pairs of models. Without a pruned model there are the
    columns of the dense ones alone. missed: the same sides with
    misses in the place of missing predictions, which is what is held against the annotation (see `missing_predictions`).

    Raises: ValueError where predictions and annotation are not of the same N samples.
    """
    if not sides.dense.shape[1] == sides.pruned.shape[1] == len(annotation):
        raise ValueError(f"expected [D, N, ...], [M, N, ...], [N, ...], got {sides.dense.shape}, {sides.pruned.shape}, {annotation.shape}")
    held = missed or sides
    by_model = scores_by_model(sides, annotation, comparison, missed)
    mean = {name: present_mean(values) for name, values in by_model.items()}
    of_dense: dict[str, np.ndarray] = {
        **{name: mean[name] for name in ("loss", "el2n") if name in mean},
        "seed_disagreement": seed_disagreement(sides.dense, comparison),
        "smallness": comparison.smallness(annotation),
    }
    if not sides.pairs:
        return of_dense
    dense_iou, pruned_iou = (overlaps(side, annotation, comparison) for side in (sides.dense, sides.pruned))
    dense_reached, pruned_reached = (overlaps(side, annotation, comparison) for side in (held.dense, held.pruned))
    disagreements = zip(sides.pairs, by_model["pruned_disagreement"])
    return {
        **{name: mean[name] for name in ("pruned_disagreement", "pruned_shift", "pruned_loss")},
        "iou_drop": present_mean(dense_reached) - present_mean(pruned_reached),
        "loss_gap": mean["pruned_loss"] - mean["loss"],
        "pie": pie(dense_reached, pruned_reached),
        "suspect": present_mean(suspect(1 - (dense_iou[one] + pruned_iou[other]) / 2, own) for (one, other), own in disagreements),
        **of_dense,
    }


def overlaps(side: np.ndarray, annotation: np.ndarray, comparison: Comparison) -> np.ndarray:
    """Overlap of the predictions of K models [K, N, ...] with the annotation [N, ...]: [K, N]."""
    return np.array([comparison.overlap(predictions, annotation) for predictions in side])
