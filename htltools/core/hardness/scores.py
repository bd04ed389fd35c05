"""Hardness: how much a sample depends on the weights that were cut, and the controls that do not prune.

Answers are boxes [N, 4], shares of the image's sides, unless a `Comparison` says how others compare. Every score is higher for
harder samples. A box of NaN is none: the annotation of an unlabelled sample, or the answer of a model that has no say on it.
What needs an answer that is not there is NaN.

Reference: Jaiswal et al., "Attend Who is Weak", WACV 2023, which names the idea but not the formula; Hooker et al. 2019 for
classification. Deviation: the loss of a pruned net that has had a short recovery is the default, because the answer of an
unrecovered one says little beyond lesion size.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch

from htltools.core.geometry.box_loss import box_loss
from htltools.core.geometry.boxes import overlap
from htltools.core.geometry.mask_comparison import mask_overlap, mask_shift, mask_smallness
from htltools.core.geometry.matching import set_overlap, set_shift
from htltools.core.hardness.baselines import smallness
from htltools.core.hardness.label_error import suspect

RIGHT = 0.75  # the IoU from which on an answer counts as right in `pie`


def disagreement(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """1 - IoU of two predictions, boxes [N, 4]: [N] in [0, 1]. Also measures smallness: the same shift costs a small box more."""
    return 1 - overlap(one, other)


def edge_distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean distance of the four edges of two predictions, boxes [N, 4]: [N] in [0, 1], in units of the image's sides."""
    return np.abs(np.asarray(one, float) - other).mean(-1)


@dataclass(frozen=True)
class Comparison:
    """How two answers of one kind compare, answers [N, ...] twice: their `overlap` [N] in [0, 1], 1 = the same, NaN where either is
    none, and how far they are `apart` [N], 0 = the same; and `smallness` [N] of the annotation, 1 - the share of the image that it
    covers, in [0, 1]."""

    overlap: Callable[[np.ndarray, np.ndarray], np.ndarray]
    apart: Callable[[np.ndarray, np.ndarray], np.ndarray]
    smallness: Callable[[np.ndarray], np.ndarray]


BOXES = Comparison(overlap, edge_distance, smallness)
OBJECTS = Comparison(set_overlap, set_shift, lambda objects: smallness(objects[..., :4]))
MASKS = Comparison(mask_overlap, mask_shift, mask_smallness)


def losses(predicted: np.ndarray, annotated: np.ndarray) -> np.ndarray:
    """Training loss of predicted boxes [N, 4] against annotated ones: [N], 0 or more."""
    return box_loss(torch.from_numpy(predicted), torch.from_numpy(annotated)).numpy().astype(float)


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
    """Whether answers that overlap so much with the annotation [...] are right: 1 or 0; NaN where nothing is known."""
    return np.where(np.isnan(reached), np.nan, reached >= RIGHT)


def seed_disagreement(dense: np.ndarray, how: Comparison = BOXES) -> np.ndarray:
    """Mean of 1 - IoU over all pairs of dense models, boxes [D, N, 4]: [N] in [0, 1]; NaN with fewer than two. Also measures smallness."""
    pairs = [1 - how.overlap(one, other) for one, other in combinations(dense, 2)]
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


def by_model(
    dense: np.ndarray,
    pruned: np.ndarray,
    annotated: np.ndarray,
    pairs: Sequence[tuple[int, int]],
    how: Comparison = BOXES,
    loss: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Columns that each of K models, or pairs of models, has of its own: [K, N] each. Arguments as in `scores`."""
    columns = {
        "pruned_disagreement": np.array([1 - how.overlap(dense[one], pruned[other]) for one, other in pairs]),
        "pruned_shift": np.array([how.apart(dense[one], pruned[other]) for one, other in pairs]),
    }
    of_dense, of_pruned = loss or [np.array([losses(boxes, annotated) for boxes in side]) for side in (dense, pruned)]
    columns |= {"pruned_loss": of_pruned, "loss": of_dense}
    return columns | ({"el2n": np.array([el2n(boxes, annotated) for boxes in dense])} if how is BOXES else {})


def scores(
    dense: np.ndarray,
    pruned: np.ndarray,
    annotated: np.ndarray,
    pairs: Sequence[tuple[int, int]],
    how: Comparison = BOXES,
    loss: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Every column that follows from the answers alone: [N] each.

    dense [D, N, 4], pruned [M, N, 4], annotated [N, 4], or answers of another kind and `how` they compare. Each column is the mean
    over the models that have a say on the sample; `pruned_disagreement`, `pruned_shift` and `suspect` over the pairs (place of the dense one, place of
    the pruned one) that are to be compared. `loss`: of the dense [D, N] and the pruned models [M, N], where it does not follow
    from the answers. `el2n` there is of boxes alone.

    Raises: ValueError for boxes of other shapes.
    """
    if how is BOXES and (dense.ndim != 3 or pruned.ndim != 3 or not dense.shape[1:] == pruned.shape[1:] == annotated.shape):
        raise ValueError(f"expected [D, N, 4], [M, N, 4], [N, 4], got {dense.shape}, {pruned.shape}, {annotated.shape}")
    found = by_model(dense, pruned, annotated, pairs, how, loss)
    mean = {name: present_mean(values) for name, values in found.items()}
    dense_iou, pruned_iou = (np.array([how.overlap(predictions, annotated) for predictions in side]) for side in (dense, pruned))
    return {
        **{name: mean[name] for name in ("pruned_disagreement", "pruned_shift", "pruned_loss")},
        "iou_drop": present_mean(dense_iou) - present_mean(pruned_iou),
        "loss_gap": mean["pruned_loss"] - mean["loss"],
        "pie": pie(dense_iou, pruned_iou),
        "suspect": present_mean(
            suspect(1 - (dense_iou[one] + pruned_iou[other]) / 2, apart) for (one, other), apart in zip(pairs, found["pruned_disagreement"])
        ),
        **{name: mean[name] for name in ("loss", "el2n") if name in mean},
        "seed_disagreement": seed_disagreement(dense, how),
        "smallness": how.smallness(annotated),
    }
